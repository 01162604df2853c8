#!/usr/bin/perl
# A line between two machines that is as long as one wants and can be cut: carries the
# packets of two TUN devices from one to the other, each later.
#
#   line.pl FIRST SECOND DELAY_MS CUT
#
# Makes the devices and prints "ready"; whoever started it moves them where they belong.
# While the file CUT is there, every packet is dropped. (tc's netem does the same, where
# the kernel has it.)
use strict;
use warnings;
use Time::HiRes qw(time);

my ($first, $second, $delay_ms, $cut) = @ARGV;
die "line.pl FIRST SECOND DELAY_MS CUT\n" unless defined $cut;

# linux/if_tun.h: TUNSETIFF, IFF_TUN | IFF_NO_PI.
sub device {
    my ($name) = @_;
    open my $tun, '+<', '/dev/net/tun' or die "line.pl: /dev/net/tun: $!\n";
    ioctl $tun, 0x400454ca, pack 'a16 S x22', $name, 0x1001 or die "line.pl: $name: $!\n";
    return $tun;
}

my @ends = (device($first), device($second));
$| = 1;
print "ready\n";

my @under_way;
while (1) {
    my $readable = '';
    vec($readable, fileno $_, 1) = 1 for @ends;
    my $wait = @under_way ? $under_way[0][0] - time : 1;
    $wait = 0 if $wait < 0;
    select $readable, undef, undef, $wait;
    for my $from (0, 1) {
        next unless vec $readable, fileno $ends[$from], 1;
        defined sysread $ends[$from], my $packet, 65536 or next;
        push @under_way, [time + $delay_ms / 1000, 1 - $from, $packet] unless -e $cut;
    }
    while (@under_way && $under_way[0][0] <= time) {
        my (undef, $to, $packet) = @{ shift @under_way };
        # A device that is down takes nothing: the packet is lost, as on any line.
        syswrite $ends[$to], $packet unless -e $cut;
    }
}
