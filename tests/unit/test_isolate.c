/* Decoding in a process of its own, with decoders that misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/base/fail.h"
#include "../../lib/base/sanitized.h"
#include "../../lib/image/internal.h"

static int ready(adtool_error *err)
{
	(void)err;
	return 0;
}

static int unready(adtool_error *err)
{
	return ad_fail(err, ADTOOL_EUNSUPPORTED, "its library is missing");
}

/* What the first byte says. */
static int misbehave(const uint8_t *data, size_t size, const adtool_image_options *options, adtool_image **out,
		     adtool_error *err)
{
	unsigned side = 300;
	size_t i;
	int code;

	switch (data[0]) {
	case 'k':
		raise(SIGKILL);
		break;
	case 'x':
		raise(SIGXCPU);
		break;
	case 't':
		raise(SIGALRM);
		break;
	case 'e':
		_exit(0);
	case 'r':
		return ad_fail(err, ADTOOL_ELIMIT, "refused, since %u", options->page);
	case 'p':
		return 12;
	case 'o': {
		int fd = open("/dev/null", O_RDONLY);

		return ad_fail(err, ADTOOL_EINVAL, "%s", fd < 0 ? "nothing opens" : "it opens");
	}
	case 'w':
		return ad_fail(err, ADTOOL_EINVAL, "%s",
			       write(STDERR_FILENO, "x", 0) < 0 && fcntl(STDOUT_FILENO, F_GETFD) < 0 ? "closed"
												     : "open");
	case 'i':
		raise(SIGINT);
		raise(SIGTERM);
		break;
	case 'b':
		side = 2000;
		break;
	default:
		break;
	}
	code = ad_image_alloc(side, side, out, err);
	for (i = 0; !code && i < (size_t)3 * side * side; i++)
		(*out)->pixels[i] = (uint8_t)(i * 7 + data[i % size]);
	return code;
}

static const ad_image_format wild = {"WILD", misbehave, "", ready};

static int isolate(const char *text, adtool_image **image, adtool_error *err)
{
	const adtool_image_options options = {.max_pixels = 1000000, .page = 41};

	*image = NULL;
	return ad_image_isolate(&wild, (const uint8_t *)text, strlen(text), &options, image, err);
}

static void fails(const char *text, int code, const char *message)
{
	adtool_error e = {0};
	adtool_image *image;

	assert_int_equal(isolate(text, &image, &e), code);
	assert_int_equal(e.code, code);
	assert_string_equal(e.message, message);
	assert_null(image);
}

static void is_whole(const char *text)
{
	const adtool_image_options options = {0};
	adtool_image *image, *here = NULL;

	assert_int_equal(isolate(text, &image, NULL), 0);
	assert_int_equal(misbehave((const uint8_t *)text, strlen(text), &options, &here, NULL), 0);
	assert_int_equal(image->width, here->width);
	assert_int_equal(image->height, here->height);
	assert_memory_equal(image->pixels, here->pixels, (size_t)3 * here->width * here->height);
	adtool_image_free(image);
	adtool_image_free(here);
}

static int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static void a_picture_comes_whole(void **state)
{
	int before = descriptors();

	(void)state;
	is_whole("a");
	is_whole("zero pixels are none of it");
	assert_int_equal(descriptors(), before);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void an_end_is_an_error(void **state)
{
	int before = descriptors();

	(void)state;
	fails("k", ADTOOL_EFORMAT, "damaged WILD: its decoder was ended by signal 9 (Killed)");
	fails("x", ADTOOL_EFORMAT, "damaged WILD: decoding it took more than 300 s of a CPU");
	fails("t", ADTOOL_EFORMAT, "damaged WILD: decoding it took more than 600 s");
	fails("e", ADTOOL_EFORMAT, "damaged WILD: its decoder ended without a word");
	fails("r", ADTOOL_ELIMIT, "refused, since 41");
	assert_int_equal(descriptors(), before);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	is_whole("a");
}

static void what_comes_is_not_trusted(void **state)
{
	adtool_error e = {0};
	adtool_image *image;

	(void)state;
	fails("p", ADTOOL_EFORMAT, "");
	assert_int_equal(isolate("b", &image, &e), ADTOOL_ELIMIT);
	assert_null(image);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void nothing_is_open_there(void **state)
{
	(void)state;
	if (AD_SANITIZED)
		skip();
	fails("o", ADTOOL_EINVAL, "nothing opens");
	fails("w", ADTOOL_EINVAL, "closed");
}

static void a_wish_to_stop_is_for_the_caller(void **state)
{
	adtool_image *image;

	(void)state;
	assert_int_equal(isolate("i", &image, NULL), 0);
	assert_int_equal(image->pixels[2], 14 + 'i');
	adtool_image_free(image);
}

static void where_no_process_can_be_had(void **state)
{
	struct rlimit old, few;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	is_whole("here");
	fails("r", ADTOOL_ELIMIT, "refused, since 41");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void children_that_nobody_waits_for(void **state)
{
	(void)state;
	signal(SIGCHLD, SIG_IGN);
	is_whole("a");
	fails("k", ADTOOL_EFORMAT, "damaged WILD: its decoder ended without a word");
	signal(SIGCHLD, SIG_DFL);
}

static void a_library_that_is_missing(void **state)
{
	const ad_image_format format = {"WILD", misbehave, "", unready};
	const adtool_image_options options = {0};
	adtool_image *image = NULL;
	adtool_error e = {0};

	(void)state;
	assert_int_equal(ad_image_isolate(&format, (const uint8_t *)"a", 1, &options, &image, &e), ADTOOL_EUNSUPPORTED);
	assert_string_equal(e.message, "its library is missing");
}

static void *many(void *argument)
{
	const char *kind = argument;
	int i, *wrong = calloc(1, sizeof(*wrong));

	for (i = 0; i < 40; i++) {
		adtool_image *image;
		int code = isolate(kind, &image, NULL);

		*wrong += code != (kind[0] == 'k' ? ADTOOL_EFORMAT : 0);
		*wrong += !code && image->pixels[100] != (uint8_t)(700 + kind[100 % strlen(kind)]);
		adtool_image_free(image);
	}
	return wrong;
}

static void by_many_threads(void **state)
{
	static char kinds[4][4] = {"a", "k", "cd", "k"};
	pthread_t threads[4];
	int i, before = descriptors();

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, many, kinds[i]), 0);
	for (i = 0; i < 4; i++) {
		void *wrong;

		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_int_equal(*(int *)wrong, 0);
		free(wrong);
	}
	assert_int_equal(descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_picture_comes_whole),
	    cmocka_unit_test(an_end_is_an_error),
	    cmocka_unit_test(what_comes_is_not_trusted),
	    cmocka_unit_test(nothing_is_open_there),
	    cmocka_unit_test(a_wish_to_stop_is_for_the_caller),
	    cmocka_unit_test(where_no_process_can_be_had),
	    cmocka_unit_test(children_that_nobody_waits_for),
	    cmocka_unit_test(a_library_that_is_missing),
	    cmocka_unit_test(by_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
