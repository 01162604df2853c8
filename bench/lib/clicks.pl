#!/usr/bin/env perl
# Writes clicks for wrk, one a line: path, tab, cookie.
#
#   perl bench/lib/clicks.pl KIND PRODUCT NUMBER [ROUND [PREFIX]]
#                                    KIND: good bad_signature expired no_session
#   perl bench/lib/clicks.pl keys    the key ring that signed them
#
# Every click is by a buyer of its own, PREFIX1 and so on (buyer1), in ROUND (1),
# signed as the suites sign.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../../t/lib";
use SeckillSign qw(hidden_path session now_ms);

my ($kind, $product, $number, $round, $prefix) = @ARGV;
die "usage: clicks.pl KIND PRODUCT NUMBER [ROUND [PREFIX]] | clicks.pl keys\n" unless defined $kind;
if ($kind eq 'keys') {
    print SeckillSign::keyring_text();
    exit;
}
my %how = (expires => now_ms() + ($kind eq 'expired' ? -1_000 : 600_000));
# Right in everything but the digest, so that the gate has to compute it.
$how{secret} = 'guessed-' x 5 if $kind eq 'bad_signature';
for my $n (1 .. $number) {
    my $buyer = ($prefix // 'buyer') . $n;
    my $path  = hidden_path($buyer, $round // '1', $product, %how);
    my $token = $kind eq 'no_session' ? '' : session($buyer);
    print "$path\t$token\n";
}
