# How prove runs the unit tests: cmocka's output, with two things put right.
#
# cmocka 1.1 reports a skipped test as "not ok N # SKIP name", which TAP takes for a failure, and it
# has no room for a reason. Tests say theirs on the line before (see tests/unit/skip.h):
#
#	# skip: why
#
# A skip for want of ../shared is left a failure when that folder is there.
package Adtool::Unit;

use strict;
use warnings;
use parent 'TAP::Parser::SourceHandler::Executable';

use TAP::Parser::IteratorFactory;
TAP::Parser::IteratorFactory->register_handler(__PACKAGE__);

sub can_handle {
	my ($class, $source) = @_;
	my $meta = $source->meta;
	return 0 unless $meta->{is_file};
	my $file = $meta->{file};
	return $file->{execute} && $file->{basename} =~ /^test_\w+$/ ? 1 : 0;
}

sub iterator_class { return 'Adtool::Unit::Iterator' }

sub shared_is_here { return -d ($ENV{ADTOOL_SHARED} // '../shared') }

package Adtool::Unit::Iterator;

use strict;
use warnings;
use parent 'TAP::Parser::Iterator::Process';

sub next_raw {
	my $self = shift;
	my $line = $self->SUPER::next_raw(@_);
	return $line unless defined $line;
	if ($line =~ /^# skip: (.*)/) {
		$self->{adtool_reason} = $1;
	} elsif ($line =~ /^(?:not )?ok (\d+) # SKIP ?(.*)/) {
		my ($number, $name) = ($1, $2);
		my $reason = delete $self->{adtool_reason} // 'no reason given';
		my $want = "$reason $name" =~ /shared/ && Adtool::Unit::shared_is_here();
		$line = $want ? "not ok $number - $name ($reason)" : "ok $number - $name # SKIP $reason";
	}
	return $line;
}

1;
