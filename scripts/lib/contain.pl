#!/usr/bin/perl
# Runs a command and sees to it that nothing it started outlives it:
#   contain.pl COMMAND...
#
# The kernel hands every orphan among the command's descendants, however deeply
# forked or detached, to this process (PR_SET_CHILD_SUBREAPER). What is still
# there after the command's end is therefore exactly what it left running: it is
# named, ended, and makes the whole fail. Comparing process lists or ports would
# also see what others on the machine started meanwhile.
use strict;
use warnings;

use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

my %prctl = (x86_64 => 157, aarch64 => 167, i686 => 172, armv7l => 172, riscv64 => 167, ppc64le => 171, s390x => 172);
my $machine = (POSIX::uname())[4];
my $call = $prctl{$machine} or die "contain.pl: the number of prctl on $machine is not known; add it\n";
syscall($call, 36, 1, 0, 0, 0) == 0 or die "contain.pl: prctl: $!\n";

my $command = fork // die "contain.pl: fork: $!\n";
if (!$command) {
    exec {$ARGV[0]} @ARGV or die "contain.pl: $ARGV[0]: $!\n";
}

# A signal meant for the whole is the command's to act upon. (The terminal's
# Ctrl-C reaches it anyway.)
$SIG{TERM} = $SIG{HUP} = sub { kill $_[0], $command };
$SIG{INT} = 'IGNORE';

my $status;
until (defined $status) {
    my $done = waitpid -1, 0;
    $status = $? if $done == $command;
}

# The children of this process, with their command lines.
sub children {
    my @found;
    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $in, '<', $stat or next;
        my ($pid, $name, $state, $parent) = (<$in> // '') =~ /^(\d+) \((.*)\) (\S) (\d+)/s or next;
        next if $parent != $$ || $state eq 'Z';
        my $line = do { local (@ARGV, $/) = "/proc/$pid/cmdline"; <> } // '';
        $line =~ tr/\0/ /;
        push @found, [$pid, $line =~ /\S/ ? $line : $name];
    }
    return @found;
}

# What was told to stop may need a moment to do so.
my $deadline = time + 3;
my @left;
while (@left = children()) {
    1 while waitpid(-1, WNOHANG) > 0;
    last if time > $deadline;
    sleep 0.05;
}

my $exit = $status & 127 ? 128 + ($status & 127) : $status >> 8;
exit $exit unless @left;

print STDERR "seckill: left running and now ended: $_->[0] $_->[1]\n" for @left;
# Ending one may orphan others, which then come to us in turn.
for my $round (1 .. 50) {
    my @now = children() or last;
    kill $round < 20 ? 'TERM' : 'KILL', map { $_->[0] } @now;
    sleep 0.1;
    1 while waitpid(-1, WNOHANG) > 0;
}
exit($exit || 1);
