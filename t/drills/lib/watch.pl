#!/usr/bin/env perl
# Watches when edges tell that a product is sold out, until it gets SIGTERM.
#
#   perl t/drills/lib/watch.pl ROUND PRODUCT PORT...
#
# At each edge in turn it reads the product's state, and clicks without a session and
# with a forged URL, as one of the crowd does. Prints a line for each edge: its port, how
# often it was asked, how often it did not respond as an edge does, and when it told
# "sold out" first, in ms since the epoch (0 for never).
use strict;
use warnings;
use IO::Socket::INET;
use Time::HiRes qw(sleep time);

my ($round, $product, @ports) = @ARGV;
die "usage: watch.pl ROUND PRODUCT PORT...\n" unless @ports;
my $ends = 0;
$SIG{TERM} = sub { $ends = 1 };
$SIG{PIPE} = 'IGNORE';

sub response {
    my ($port, $request) = @_;
    my $edge = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 5) or return '';
    print $edge $request;
    local $/;
    return <$edge> // '';
}

my (%asked, %odd, %first);
until ($ends) {
    for my $port (@ports) {
        my $expires = int(time * 1000) + 60_000;
        my %said    = (
            state => response($port, "GET /api/rounds/$round/products/$product/state HTTP/1.0\r\nHost: shop\r\n\r\n"),
            click => response($port, "POST /buy/$round/$product/$expires/0123456789abcdef/k2.forged HTTP/1.0\r\nHost: shop\r\n\r\n"),
        );
        # When it was told at the latest.
        my $now_ms = int(time * 1000);
        $asked{$port} += keys %said;
        $odd{$port} += grep { !/"(?:state|code)":"\w+"/ } values %said;
        $first{$port} ||= $now_ms if grep {/"sold_out"/} values %said;
    }
    sleep 0.005;
}
printf "%d %d %d %d\n", $_, $asked{$_} // 0, $odd{$_} // 0, $first{$_} // 0 for @ports;
