#!/usr/bin/perl
# Says every 15 seconds how far a build is:
#   cargo build --message-format=json-render-diagnostics | progress.pl PACKAGES SECONDS
#
# PACKAGES is a file with what `cargo tree` names, one package a line. SECONDS is
# kept for the next time: how long it took, if most had to be built.
use strict;
use warnings;

use IO::Handle;
use IO::Select;

my ($packages, $seconds) = @ARGV;
my $every = 15;

# "name v1.2.3 (folder)", with marks behind it.
my %left;
if (open my $in, '<', $packages) {
    while (<$in>) { $left{"$1 $2"} = $1 if /^(\S+) v(\S+)/ }
}
my $total = keys %left;
my $last = do { local @ARGV = -e $seconds ? $seconds : (); @ARGV ? <> : undef };

my ($done, $compiled, $began) = (0, 0, time);
my $next = $began + $every;
STDOUT->autoflush;

sub line {
    my $text = "   built $done" . ($total >= $done ? " of $total packages" : ' packages') . ", @{[time - $began]} s";
    $text .= sprintf ' (the last whole build took %d s)', $last if $last;
    my @names = sort values %left;
    $text .= @names ? '; left: ' . join ', ', @names : '; what is left is linked' if $total && @names <= 4;
    print "$text\n";
}

# A package counts when its library or program is there; its build script alone
# does not count.
sub note {
    my ($name, $version, $kind) = $_[0] =~ m{^\{"reason":"compiler-artifact","package_id":"[^"]*?([^"#/]*)#([^"]*)".*?"kind":\["([^"]+)"} or return;
    ($name, $version) = ($1, $2) if $version =~ /^(.*)@(.*)$/;
    return if $kind eq 'custom-build';
    $done++ if delete $left{"$name $version"};
    $compiled++ if $_[0] =~ /"fresh":false/;
}

my ($select, $buffer) = (IO::Select->new(\*STDIN), '');
while (1) {
    my $wait = $next - time;
    if ($wait <= 0) {
        line();
        $next = time + $every;
        next;
    }
    next unless $select->can_read($wait);
    sysread(STDIN, $buffer, 65536, length $buffer) or last;
    note($1) while $buffer =~ s/^(.*)\n//;
}

my $took = time - $began;
line() if $took >= $every;
if ($total && $compiled >= 0.8 * $total && open my $out, '>', $seconds) { print $out "$took\n" }
