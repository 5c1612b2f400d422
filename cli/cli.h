/*
 * What every adtool program shares. A program is one adtool-NAME.c that defines `cli_program`; main()
 * stands in main.c. Adding a command:
 *   1. a row in commands.c (its one-line help; man/adtool-NAME.1 repeats it in .Nd);
 *   2. adtool-NAME.c with an option table and `const cli_command cli_program`;
 *   3. man/adtool-NAME.1 whose SYNOPSIS is what -h prints, and whose examples run (tests/cli);
 *   4. a test tests/cli/NAME.t.
 * One table of options feeds the parser, -h and the synopsis.
 */
#ifndef CLI_H
#define CLI_H

#include <adtool/adtool.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit statuses; the same for every command. */
enum cli_status {
	CLI_OK = 0,
	CLI_ANOMALOUS = 1,  /* with --exit-code: something is anomalous */
	CLI_UNREADABLE = 2, /* some inputs could not be read; goes before CLI_ANOMALOUS */
	CLI_FAILURE = 128,
	CLI_USAGE = 129,
	CLI_SIGNAL = 128 /* and the number of the signal that stopped it: 130, 143 */
};

/* -- options (options.c) ----------------------------------------------------------------------------- */

typedef struct cli_list {
	const char **items; /* the strings are argv's */
	size_t count;
} cli_list;

typedef struct cli_size {
	unsigned width, height;
} cli_size;

typedef struct cli_tiles {
	unsigned width, height, overlap;
} cli_tiles;

typedef struct cli_box {
	double x, y, width, height;
	bool percent;
} cli_box;

/* What an option takes, and what `value` points to. */
enum cli_type {
	CLI_END = 0,  /* ends a table */
	CLI_HEADING,  /* `help` is a line above the options that follow; with `argument`, the synopsis
	               * says "[argument]" for all of them */
	CLI_FLAG,     /* bool */
	CLI_STRING,   /* const char * */
	CLI_LIST,     /* cli_list: may be repeated, and takes all operands up to the next option */
	CLI_UNSIGNED, /* unsigned, min .. max */
	CLI_COUNT,    /* size_t, min .. max */
	CLI_WHOLE,    /* uint64_t, min .. max */
	CLI_BYTES,    /* uint64_t; suffixes K, M, G, T: powers of 1024 */
	CLI_DOUBLE,   /* double, min .. max */
	CLI_WORD,     /* int: the index in `words` */
	CLI_SIZE,     /* cli_size: WIDTHxHEIGHT, each min .. max */
	CLI_TRIPLE,   /* float[3]: a,b,c */
	CLI_TILES,    /* cli_tiles: WIDTHxHEIGHT or WIDTHxHEIGHT+OVERLAP, sides min .. max */
	CLI_BOX       /* cli_box: x,y,width,height, whole numbers; or each with a % */
};

enum cli_option_flags {
	CLI_REQUIRED = 1,
	CLI_ABOVE_MIN = 2, /* CLI_DOUBLE, CLI_TRIPLE (0 there): min itself is not allowed */
	CLI_BELOW_MAX = 4  /* CLI_DOUBLE: max itself is not allowed */
};

typedef struct cli_option {
	enum cli_type type;
	char letter;              /* 0: none */
	const char *name;         /* without "--" */
	const char *argument;     /* as shown: "FILE"; NULL for flags */
	const char *help;
	void *value;
	double min, max;          /* when max > min */
	const char *const *words; /* CLI_WORD: ends with NULL */
	unsigned flags;
	unsigned group;           /* options of one group (not 0) exclude each other; they stand side by side */
} cli_option;

/* Rows that mean the same wherever they stand. */
#define CLI_OPTION_JOBS                                                                                                \
	{ CLI_UNSIGNED, 'j', "jobs", "N", "threads (default: one per CPU); never changes a result", &cli_jobs, 1,      \
	  1024, NULL, 0, 0 }
#define CLI_OPTION_NULL                                                                                                \
	{ CLI_FLAG, '0', "null", NULL, "paths read from standard input end in NUL, not newline", &cli_null, 0, 0,      \
	  NULL, 0, 0 }
#define CLI_OPTION_END                                                                                                 \
	{ CLI_END, 0, NULL, NULL, NULL, NULL, 0, 0, NULL, 0, 0 }

/* What the limits were set to. */
extern adtool_limits cli_limits;

/* What the shared options were set to. */
extern unsigned cli_jobs;
extern bool cli_null, cli_quiet, cli_verbose, cli_log_json;
/* --color, an index of auto, always, never. */
extern int cli_color;
/* The last option given that stands under a heading with an argument; NULL: none. */
extern const char *cli_conditional;
/* Whether the option with this `value` was given. */
bool cli_given(const void *value);

typedef struct cli_command cli_command;
struct cli_command {
	const char *name;        /* "score", "backbone run"; "" for the front */
	const char *page;        /* manual page: "adtool-score" */
	const char *help;        /* one line; NULL: that of commands.c */
	const char *operands;    /* as shown: "INPUT..."; NULL: none */
	const cli_option *options;
	int min_operands, max_operands; /* max: -1 for no limit */
	bool stop_at_operand;    /* what follows the first operand is not ours to parse */
	const cli_command *const *subcommands; /* ends with NULL; then `run` is not used */
	void (*more_help)(void); /* printed at the end of -h; may be NULL */
	int (*run)(size_t count, const char **operands);
};

/* Each program defines this. */
extern const cli_command cli_program;

/*
 * Parses and runs a command. argv[0] is passed over. Returns the exit status. Operands and options may be
 * mixed; "--" ends the options; "-" is an operand. "--list-options" alone prints the tables for `adtool completion`, a
 * line for each command and option, fields apart by tabs: "command", name, operands, help; "option", letter, name,
 * what its value is (flag, word, file, folder, other), the value as shown, its words, help.
 */
int cli_run(const cli_command *command, int argc, char **argv);

/* "adtool: <command>: <message>" and where to read on; returns CLI_USAGE. */
int cli_usage_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* What -h prints. */
void cli_print_help(const cli_command *command);
/* What --version prints; with -v how it was built (version.c, but for the front, which has its own). */
void cli_print_version(void);

/* Of `count` words the one that was probably meant; NULL when none is near. */
const char *cli_nearest(const char *word, const char *const *words, size_t count);

/* -- commands (commands.c) --------------------------------------------------------------------------- */

typedef struct cli_command_row {
	const char *name, *help;
} cli_command_row;

/* All commands, in the order of the overview; ends with a NULL name. */
extern const cli_command_row cli_commands[];

/* -- running (main.c) -------------------------------------------------------------------------------- */

/* To standard output. A write that fails is kept in mind and ends the program with a message: see cli_output_failed. */
void cli_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void cli_write(const void *data, size_t size);
/*
 * In one piece, at once, behind all that was printed, so that programs that share an output do not cut each other's
 * rows. Non-zero as cli_flush.
 */
int cli_write_whole(const void *data, size_t size);
/* 0, or non-zero once a write to standard output has failed. */
int cli_flush(void);
int cli_output_failed(void);

/*
 * "adtool: <what>: <message>" on standard error, in one line: control characters are written as escapes. With
 * --log-json an object, with the level. what: the command, or the path that it is about; may be NULL. An error,
 * something that should be looked at, and something that is good to know.
 */
void cli_message(const char *what, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cli_warn(const char *what, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cli_remark(const char *what, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The library's message; "adtool: <what>: " goes before it when what is not NULL. Returns CLI_FAILURE. */
int cli_fail(const char *what, const adtool_error *err);
#ifdef __clang_analyzer__
/* What it cannot see, as they stand in another file: these never return 0. */
#define cli_usage_error(...) ((cli_usage_error)(__VA_ARGS__), CLI_USAGE)
#define cli_fail(what, err) ((cli_fail)(what, err), CLI_FAILURE)
#endif

/* Out of memory ends the program. */
void *cli_alloc(size_t count, size_t size);
void *cli_realloc(void *block, size_t count, size_t size);
char *cli_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The folder of the running program, or NULL. The caller frees. */
char *cli_program_folder(void);

/* Becomes `man` on a page ("adtool-train", "adtool-bundle"); returns when there is no such page, or no man. */
void cli_exec_man(const char *page);

/* Has this program ignore a signal, and remembers whether it was ignored when the program was started. */
void cli_ignore_signal(int number);
/* Those that it ignores of itself; another program is to have them by default. */
const sigset_t *cli_ignored_signals(void);
/* Gives them up, before another program is run in this one's place. */
void cli_default_signals(void);

/* -- stopping (stop.c) ------------------------------------------------------------------------------- */

/*
 * From now on the first SIGINT or SIGTERM is a wish: cli_stopped tells its number (0: none yet), and the descriptor can
 * be read, for poll and adtool_dataset_options.stop_fd. Another one after CLI_ONE_WISH_MS kills. Also where they were
 * ignored at the start, as a shell does for what it runs in the background: who sends one means it. Returns 0 or
 * CLI_FAILURE, with a message.
 */
enum { CLI_ONE_WISH_MS = 300 };
int cli_catch_stop(void);
int cli_stop_fd(void); /* -1 before cli_catch_stop */
int cli_stopped(void);
/* The same wish from within, as when standard output is gone: cli_stopped stays as it is. */
void cli_request_stop(void);

/* -- outputs (outputs.c) ----------------------------------------------------------------------------- */

#define CLI_MAGIC_NPY "\x93NUMPY"
/* The tag of ir_version, which is the first field of a model and is written first. */
#define CLI_MAGIC_ONNX "\x08"
/*
 * Said before the work, not after it: whether `path` may be written, which takes a folder that can be, and at that path
 * nothing or a regular file. With magic that file must begin so, or be empty; or be given up by force. kind is what
 * begins so: "ONNX file". Returns 0 or CLI_FAILURE, with a message.
 */
int cli_may_write(const char *path, const char *magic, const char *kind, bool force);
#define CLI_OPTION_FORCE(file)                                                                                         \
	{ CLI_FLAG, 0, "force", NULL, "replace " file " even if it is a file of another kind", &force, 0, 0, NULL, 0,  \
	  0 }

/* -- text (text.c) ----------------------------------------------------------------------------------- */

/*
 * Text from a file or a file's name, fit for one line of a terminal: control characters are written as escapes. It
 * lives until the eighth call after this one.
 */
const char *cli_safe(const char *text);

enum { CLI_NUMBER_SIZE = 32 };

/* The shortest decimal that reads back as the same double; "null" when not finite (JSON has no such number). */
const char *cli_number(char out[CLI_NUMBER_SIZE], double value);
/* "2.7 MB": powers of 1000, as disks are sold. */
const char *cli_bytes(char out[CLI_NUMBER_SIZE], uint64_t bytes);
/* "1.83 G": for multiply-adds and parameters. */
const char *cli_big(char out[CLI_NUMBER_SIZE], double value);
/* Prints a JSON string, quoted and escaped. */
void cli_print_json_string(const char *text);
/* The last component of a path. */
const char *cli_basename(const char *path);

/* -- progress (progress.c) --------------------------------------------------------------------------- */

/*
 * A line on standard error while it is a terminal and without -q. An adtool_progress_fn (context is not used);
 * returns non-zero once standard output failed, so that jobs stop.
 */
int cli_progress(void *context, const char *stage, uint64_t done, uint64_t total);
/* Erases the line. Messages do so by themselves. */
void cli_progress_erase(void);

/* -- jobs (jobs.c) ----------------------------------------------------------------------------------- */

/* The model that is meant: `given`, else $ADTOOL_MODEL, else ./model.zip. NULL (and a message): none of them. */
const char *cli_model_path(const char *given);
/* That the file is not larger than --max-model-size. Returns 0 or CLI_FAILURE, with a message. */
int cli_check_model_size(const char *path);
/* Opens a backbone as it is, within the limits; NULL: the default one. As above. */
int cli_load_backbone(const char *name, adtool_backbone **backbone);
/* Opens it. Returns 0 or CLI_FAILURE, with a message. */
int cli_open_model(const char *given, adtool_model **model);

/*
 * An option that takes all words up to the next one takes a MODEL behind them, too, and another model would be used
 * or changed. Returns CLI_USAGE, with a message, when one of the pictures of --`option` is a model.
 */
int cli_check_no_model(const cli_list *pictures, const char *option);

/* The options of a training run, shared by train and eval. */
typedef struct cli_training {
	const char *backbone, *layer;
	cli_size size;
	bool size_chosen; /* though not given: that of tiles does not take its place */
	unsigned grid;
	int method, aggregate, precision;
	size_t channels, components;
	double energy, top, alpha;
	uint64_t seed, memory;
	int fit;
	cli_tiles tiles;          /* width 0: none */
	const char *background;   /* NULL: black */
	cli_box roi;              /* width 0: none */
	const char *mask;         /* a file */
	const adtool_model *from; /* its recipe, but for what was given; NULL: all as given */
	bool keep_stats, update, tune;
	const char *group_by;
	size_t drop;
	adtool_finding_fn *finding;
	adtool_refused_fn *refused; /* told besides what cli_refused does; may be NULL */
	adtool_row_fn *held_out;
	size_t held_out_most;
	unsigned thumbnail;
} cli_training;
extern cli_training cli_train;
extern const char *const cli_methods[], *const cli_precisions[], *const cli_aggregates[], *const cli_fits[];

/* How a backbone is to be fed, when not as its metadata say. */
typedef struct cli_feeding {
	int color;                 /* -1: as the metadata say */
	int range;                 /* index in cli_ranges; -1 */
	float mean[3], std[3];     /* NaN */
} cli_feeding;
extern cli_feeding cli_feed;
extern const char *const cli_colors[], *const cli_ranges[];

#define CLI_OPTIONS_FEEDING                                                                                            \
	{ CLI_WORD, 0, "color", "rgb|bgr", "order of the channels, instead of the backbone's own", &cli_feed.color, 0, \
	  0, cli_colors, 0, 0 },                                                                                       \
	{ CLI_WORD, 0, "range", "0..255|0..1", "what samples span before mean and std", &cli_feed.range, 0, 0,       \
	  cli_ranges, 0, 0 },                                                                                          \
	{ CLI_TRIPLE, 0, "mean", "A,B,C", "mean of each channel", cli_feed.mean, 0, 0, NULL, 0, 0 },                   \
	{ CLI_TRIPLE, 0, "std", "A,B,C", "standard deviation of each channel", cli_feed.std, 0, 0, NULL, \
	  CLI_ABOVE_MIN, 0 }

#define CLI_OPTIONS_BACKBONE                                                                                           \
	{ CLI_STRING, 0, "backbone", "NAME|FILE.onnx", "the network that sees (default: adnet)", &cli_train.backbone,  \
	  0, 0, NULL, 0, 0 },                                                                                          \
	{ CLI_STRING, 0, "layer", "L", "its layer (default: the one its metadata name)", &cli_train.layer, 0, 0, NULL, \
	  0, 0 },                                                                                                      \
	{ CLI_SIZE, 0, "size", "WxH", "pictures are resized to this (default 224x224)", &cli_train.size, 1, 4096,      \
	  NULL, 0, 0 }

#define CLI_OPTION_FIT                                                                                                 \
	{ CLI_WORD, 0, "fit", "stretch|letterbox|crop",                                                                \
	  "pictures of another shape: stretched (default), whole, or centre", &cli_train.fit, 0, 0, cli_fits, 0, 0 }
#define CLI_OPTION_TILES                                                                                               \
	{ CLI_TILES, 0, "tiles", "WxH[+O]", "cut pictures into tiles, overlapping by O pixels; the worst one counts",  \
	  &cli_train.tiles, 1, 4096, NULL, 0, 0 }
#define CLI_OPTION_ROI                                                                                                 \
	{ CLI_BOX, 0, "roi", "X,Y,W,H", "look at this part only: pixels, or percent as 10%,10%,80%,80%",               \
	  &cli_train.roi, 0, 0, NULL, 0, 0 }
#define CLI_OPTION_MASK                                                                                                \
	{ CLI_STRING, 0, "mask", "FILE", "a picture that is white where pictures are looked at", &cli_train.mask, 0,   \
	  0, NULL, 0, 0 }
#define CLI_OPTION_BACKGROUND                                                                                          \
	{ CLI_STRING, 0, "background", "COLOR", "what shows where a picture is transparent (default black)",           \
	  &cli_train.background, 0, 0, NULL, 0, 0 }

#define CLI_OPTION_GROUP_BY                                                                                            \
	{ CLI_STRING, 0, "group-by", "dir|REGEX", "keep pictures of one part in one fold, by folder or name",          \
	  &cli_train.group_by, 0, 0, NULL, 0, 0 }

#define CLI_OPTIONS_TRAINING                                                                                           \
	CLI_OPTIONS_BACKBONE,                                                                                          \
	CLI_OPTION_FIT,                                                                                                \
	CLI_OPTION_TILES,                                                                                              \
	CLI_OPTION_ROI,                                                                                                \
	CLI_OPTION_MASK,                                                                                               \
	CLI_OPTION_BACKGROUND,                                                                                         \
	{ CLI_UNSIGNED, 0, "grid", "G", "feature maps are averaged to G x G cells (default 7)", &cli_train.grid, 1,    \
	  256, NULL, 0, 0 },                                                                                           \
	{ CLI_WORD, 0, "method", "fre|ppca", "feature reconstruction error (default), or probabilistic PCA",           \
	  &cli_train.method, 0, 0, cli_methods, 0, 0 },                                                                \
	{ CLI_COUNT, 0, "channels", "C", "channels that fre keeps; 0 keeps all (default 128)", &cli_train.channels, 0, \
	  1 << 20, NULL, 0, 0 },                                                                                       \
	{ CLI_DOUBLE, 0, "energy", "E", "share of the energy that the components keep (default 0.97)",                 \
	  &cli_train.energy, 0, 1, NULL, CLI_ABOVE_MIN | CLI_BELOW_MAX, 1 },                                           \
	{ CLI_COUNT, 0, "components", "K", "the number of components itself", &cli_train.components, 0, 1 << 30, NULL, \
	  0, 1 },                                                                                                      \
	{ CLI_WORD, 0, "aggregate", "top|max|sum", "cells to score: mean of the largest (default), largest, sum",      \
	  &cli_train.aggregate, 0, 0, cli_aggregates, 0, 0 },                                                          \
	{ CLI_DOUBLE, 0, "top", "FRACTION", "share of the cells that top averages (default 0.1)", &cli_train.top, 0,   \
	  1, NULL, CLI_ABOVE_MIN, 0 },                                                                                 \
	{ CLI_DOUBLE, 0, "alpha", "A", "false-alarm rate that the threshold is set for (default 0.01)",                \
	  &cli_train.alpha, 0, 1, NULL, CLI_ABOVE_MIN | CLI_BELOW_MAX, 0 },                                            \
	{ CLI_WHOLE, 0, "seed", "S", "of the folds and samples drawn (default 0)", &cli_train.seed, 0, 0, NULL, 0,     \
	  0 },                                                                                                         \
	{ CLI_BYTES, 0, "memory", "SIZE", "refuse when more would be needed (default: 3/4 of the machine's)",          \
	  &cli_train.memory, 0, 0, NULL, 0, 0 },                                                                       \
	CLI_OPTIONS_FEEDING

/* Opens the backbone that cli_train and cli_feed ask for. Returns 0 or CLI_FAILURE, with a message. */
int cli_open_backbone(adtool_backbone **backbone);

/* Pictures that were refused are named on standard error and counted here. */
extern uint64_t cli_refused_count;
void cli_refused(void *context, const char *name, const adtool_error *why);

/* That --group-by is 'dir' or an expression. Returns 0 or CLI_USAGE, with a message. */
int cli_check_group_by(void);
/* The geometry that cli_train asks for. Returns 0 or CLI_USAGE, with a message. */
int cli_geometry(adtool_geometry *geometry);
/* adtool_image_read with the options of all pictures. */
int cli_read_picture(const char *path, adtool_image **out, adtool_error *err);
/* The picture of --mask; *mask is NULL without. Returns 0 or CLI_FAILURE, with a message. */
int cli_open_mask(adtool_image **mask);

/* What cli_train says, with the shared callbacks; mask: of cli_open_mask, must live as long as the options. */
void cli_train_options(adtool_train_options *options, const adtool_image *mask);

/* Opens the backbone and trains as cli_train says. Returns 0 or CLI_FAILURE, with a message. */
int cli_train_model(const char *const *inputs, size_t count, adtool_model **model, adtool_train_report *report);

/* Dataset options as the command line gave them. */
void cli_dataset_options(adtool_dataset_options *options);

/* -- rows (rows.c) ----------------------------------------------------------------------------------- */

/* What score and watch are told alike. */
typedef struct cli_scoring {
	const char *model, *heatmap_dir, *overlay_dir, *map_dir;
	int format; /* enum adtool_format */
	double threshold, alpha; /* NaN; 0 */
	double rate;
	unsigned nice;
} cli_scoring;
extern cli_scoring cli_score;
extern const char *const cli_formats[];

#define CLI_OPTION_MODEL                                                                                               \
	{ CLI_STRING, 'm', "model", "MODEL", "the model (default: $ADTOOL_MODEL, else model.zip)", &cli_score.model,   \
	  0, 0, NULL, 0, 0 }
#define CLI_OPTIONS_ROWS                                                                                               \
	{ CLI_WORD, 0, "format", "tsv|jsonl|csv", "how rows are written (default tsv)", &cli_score.format, 0, 0,       \
	  cli_formats, 0, 0 },                                                                                         \
	{ CLI_STRING, 0, "heatmap", "DIR", "write a heat map of each picture here, as PNG", &cli_score.heatmap_dir, 0, \
	  0, NULL, 0, 0 },                                                                                             \
	{ CLI_STRING, 0, "overlay", "DIR", "write each picture with its heat map over it here, as PNG",                \
	  &cli_score.overlay_dir, 0, 0, NULL, 0, 0 },                                                                  \
	{ CLI_STRING, 0, "map", "DIR", "write the map of each picture here, as float32 .npy", &cli_score.map_dir, 0,   \
	  0, NULL, 0, 0 }
#define CLI_OPTIONS_DECISION                                                                                           \
	{ CLI_DOUBLE, 0, "threshold", "T", "call scores above T anomalous", &cli_score.threshold, 0, 0, NULL, 0, 1 },  \
	{ CLI_DOUBLE, 0, "alpha", "A", "set the threshold for this false-alarm rate", &cli_score.alpha, 0, 1, NULL,    \
	  CLI_ABOVE_MIN | CLI_BELOW_MAX, 1 }
#define CLI_OPTIONS_PACE                                                                                               \
	{ CLI_DOUBLE, 0, "limit-rate", "N", "score at most N pictures a second", &cli_score.rate, 0, 1e6, NULL,        \
	  CLI_ABOVE_MIN, 0 },                                                                                          \
	{ CLI_UNSIGNED, 0, "nice", "N", "give way to other programs: add N to the niceness", &cli_score.nice, 0, 19,   \
	  NULL, 0, 0 }

/* What the options say, and the model's facts with the rule in force. Returns 0 or CLI_FAILURE, with a message. */
int cli_score_options(const adtool_model *model, adtool_score_options *options, adtool_model_info *info);
/* A row as --format and -0 have it; NULL: the header. Release with adtool_free. 0, or CLI_FAILURE with a message. */
int cli_row_text(const adtool_row *row, const adtool_model_info *model, char **text, size_t *size);
/* Prints it in one piece, in color where that is wanted; non-zero once that failed. */
int cli_print_row(const adtool_row *row, const adtool_model_info *model);
/* --nice, for threads that are started later. Returns 0 or CLI_FAILURE, with a message. */
int cli_set_nice(void);

/* -- sandbox (sandbox.c) ----------------------------------------------------------------------------- */

/*
 * From here on nothing is written but below the folders (NULL: none of that kind), no other program is run and there is
 * no network, as far as the kernel can see to it; to be called before threads are started. Returns 0 or CLI_FAILURE,
 * with a message. --no-sandbox leaves it out.
 */
int cli_sandbox(const char *const *folders, size_t count);
/* With -v: which parts are in force. cli_sandbox does so. */
void cli_say_sandbox(unsigned parts);
/*
 * From here on the process has at most so many bytes of data (0: no limit), and half of them, dealt to the threads, is
 * what pictures in memory may take. Returns 0 or CLI_FAILURE, with a message.
 */
int cli_limit_memory(uint64_t bytes, unsigned threads);
/* That, in pixels; 0: no limit but --max-pixels. */
extern uint64_t cli_whole_pixels;
/* For the end of a message about memory: "; --memory allows 20 MiB", or nothing when there is no such limit. */
const char *cli_memory_note(void);
extern bool cli_no_sandbox;
#define CLI_OPTION_SANDBOX                                                                                             \
	{ CLI_FLAG, 0, "no-sandbox", NULL, "keep all rights while pictures are decoded", &cli_no_sandbox, 0, 0, NULL,  \
	  0, 0 }

/* -- reports (report.c) ------------------------------------------------------------------------------ */

/* The page of --report, its folder made. Returns 0 or CLI_FAILURE, with a message. */
int cli_report_open(enum adtool_page_kind kind, const char *dir, adtool_page **page);
/* Writes it. facts: the threshold in force, and the model's path and metrics if any. As above. */
int cli_report_write(adtool_page *page, const char *dir, const adtool_model *model, adtool_page_facts *facts);

/* -- decision (decision.c) --------------------------------------------------------------------------- */

/* "conformal, alpha 0.01"; the caller frees. */
char *cli_rule_text(enum adtool_rule rule, double alpha);
/* The lines about the threshold, and about the calibration, as `info` and `threshold` print them. */
void cli_print_rule(const adtool_model_info *model);
void cli_print_calibration(const adtool_model *model);
/* With fewer calibration pictures than this a threshold is weak. */
enum { CLI_FEW = 30 };
/* What a threshold from so few pictures is ("rough"); NULL when there are enough. */
const char *cli_weakness(const adtool_model_info *model);

#endif
