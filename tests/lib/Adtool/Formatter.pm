# prove's console output; at the end every skipped test with its reason, every failed one with the comments
# that follow it in the TAP, and, alone on the last line, "N passed, N failed, N skipped".
package Adtool::Formatter;

use strict;
use warnings;
use parent 'TAP::Formatter::Console';

sub open_test {
	my ($self, $script, $parser) = @_;
	my $comments; # of the failed test last seen
	$parser->callback(
		comment => sub {
			my $comment = shift->comment;
			push @$comments, $comment if $comments && @$comments < 40;
		}
	);
	$parser->callback(
		test => sub {
			my $test = shift;
			$comments = undef;
			my $name = $test->description =~ s/^- //r;
			$name = 'test ' . $test->number unless length $name;
			if ($test->has_skip) {
				push @{ $self->{adtool_skipped} }, [ $script, $name, $test->explanation ];
			} elsif (!$test->is_ok) {
				$comments = [];
				push @{ $self->{adtool_failed} }, [ $script, $name, undef, $comments ];
			}
		}
	);
	return $self->SUPER::open_test($script, $parser);
}

sub summary {
	my ($self, $aggregate, $interrupted) = @_;
	$self->SUPER::summary($aggregate, $interrupted);
	return if $self->silent;

	my @skipped = @{ $self->{adtool_skipped} // [] };
	my @failed = @{ $self->{adtool_failed} // [] };
	my ($passed, $failed) = (0, 0);
	for my $script ($aggregate->descriptions) {
		my ($parser) = $aggregate->parsers($script);
		if (my $why = $parser->skip_all) {
			push @skipped, [ $script, 'the whole script', $why ];
			next;
		}
		my $skips = () = $parser->skipped;
		my $passes = () = $parser->passed;
		my $fails = () = $parser->failed;
		$passed += $passes - $skips;
		$failed += $fails;
		my $not_run = ($parser->tests_planned // $parser->tests_run) - $parser->tests_run;
		if ($not_run > 0) {
			push @failed, [ $script, "$not_run planned tests that never ran", undef ];
			$failed += $not_run;
		} elsif (!$fails && $parser->has_problems) {
			my $why = $parser->exit ? 'exit status ' . $parser->exit : ($parser->parse_errors)[0] // 'killed';
			push @failed, [ $script, 'the whole script', $why ];
			$failed++;
		}
	}
	$self->list('Skipped:', @skipped);
	$self->list('Failed:', @failed);
	$failed++ if $interrupted && !$failed;
	$self->_output(sprintf "%d passed, %d failed, %d skipped\n", $passed, $failed, scalar @skipped);
}

sub list {
	my ($self, $title, @tests) = @_;
	return unless @tests;
	$self->_output("$title\n");
	for (@tests) {
		my ($script, $name, $why, $comments) = @$_;
		$script =~ s{.*/build/}{build/};
		$self->_output("  $script: $name" . (defined $why && length $why ? ": $why" : '') . "\n");
		$self->_output("    # $_\n") for @{ $comments // [] };
	}
}

1;
