#!/usr/bin/env perl
# What bench/years.sh sells and who buys it.
#
#   perl bench/lib/years.pl sale FIRST LAST PRODUCTS SECONDS     a sale file: rounds y<N>,
#                                 open now and for so long, of products 1 to PRODUCTS
#   perl bench/lib/years.pl clicks FIRST LAST PRODUCTS           a signed click for each product, one
#                                 a line (path, tab, session), each by a buyer y<N>-<product>
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../../t/lib";
use SeckillSign qw(hidden_path session now_ms);

my ($what, $first, $last, $products, $seconds) = @ARGV;
die "usage: years.pl sale FIRST LAST PRODUCTS SECONDS | clicks FIRST LAST PRODUCTS\n"
    unless defined $products && ($what eq 'clicks' || $what eq 'sale' && $seconds);
my $expires = now_ms() + 600_000;
for my $round (map {"y$_"} $first .. $last) {
    print qq{[[round]]\nid = "$round"\nname = "Years $round"\nstarts = "+0s"\nends = "+${seconds}s"\n} if $what eq 'sale';
    for my $product (1 .. $products) {
        if ($what eq 'sale') {
            print qq{[[round.product]]\nid = "$product"\ntitle = "Product $product"\namount = 2\nprice_cents = 100\nper_buyer = 1\n};
        } else {
            my $buyer = "$round-$product";
            print hidden_path($buyer, $round, $product, expires => $expires), "\t", session($buyer), "\n";
        }
    }
}
