#!/usr/bin/env perl
# Writes clicks for wrk, one a line: path, tab, session.
#
#   perl bench/lib/clicks.pl KIND PRODUCT NUMBER [ROUND [PREFIX]]
#                                    KIND: good bad_signature expired no_session admitted
#   perl bench/lib/clicks.pl keys    the key ring that signed them
#
# Every click is by a buyer of its own, PREFIX1 and so on (buyer1), in ROUND (1),
# signed as the suites sign. One that is admitted also has what an edge adds, each
# behind a tab: user, request id, permit of the lease bench.l1, and the signature over
# them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../../t/lib";
use SeckillSign qw(hidden_path session admission now_ms);

my ($kind, $product, $number, $round, $prefix) = @ARGV;
die "usage: clicks.pl KIND PRODUCT NUMBER [ROUND [PREFIX]] | clicks.pl keys\n" unless defined $kind;
if ($kind eq 'keys') {
    print SeckillSign::keyring_text();
    exit;
}
$round //= '1';
my %how = (expires => now_ms() + ($kind eq 'expired' ? -1_000 : 600_000));
# Right in everything but the digest, so that the gate has to compute it.
$how{secret} = 'guessed-' x 5 if $kind eq 'bad_signature';
for my $n (1 .. $number) {
    my $buyer = ($prefix // 'buyer') . $n;
    my $path  = hidden_path($buyer, $round, $product, %how);
    my @click = ($path, $kind eq 'no_session' ? '' : session($buyer));
    if ($kind eq 'admitted') {
        my ($request, $permit) = ('bench', "bench.l1.$n");
        my $signed = admission($buyer, $round, $product, request => $request, permit => $permit);
        push @click, $buyer, $request, $permit, $signed;
    }
    print join("\t", @click), "\n";
}
