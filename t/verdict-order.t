use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(click_with answer status_of metric);

# The order of verdicts: what is public comes before any digest, and a buyer who was
# admitted is not told that they lost.
our $gate = gate_location() . ' location = /metrics { seckill_status; }';

# The status and code of a click of $buyer on product 153 with these header lines.
sub told {
    my ($buyer, @headers) = @_;
    my ($status, $body) = answer(click_with($buyer, @headers)) =~ m{^HTTP/1\.1 (\d+).*?\r\n\r\n(.*)}s or return 'nothing';
    return "$status " . ($body =~ /"code":"(\w+)"/ ? $1 : $body =~ /permit=\S/ ? 'with a permit' : 'without a permit');
}

sub key { 'Idempotency-Key: ' . shift }

# Sells product 153 out to $n buyers named first1, first2 …, each with a key of its own.
sub sell_out {
    my ($n) = @_;
    told("first$_", cookie("first$_"), key("k$_")) for 1 .. $n;
    eventually { told('late', cookie('late')) eq '410 sold_out' } or die "not sold out\n";
}

run_tests();

__DATA__

=== TEST 1: sold out is told without a session, a signature or a digest
--- only: module
--- sale
1 153 limit=2
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    main::sell_out(2);
    my $forged = main::told('late', cookie('somebody_else'));
    my $nobody = main::told('late');
    return "$forged, $nobody\n";
}
--- response_body
410 sold_out, 410 sold_out



=== TEST 2: ended is told in the same way
--- only: module
--- sale
1 153 opens=-1h ends=-1s
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub { return main::told('late') . "\n" }
--- response_body
410 ended



=== TEST 3: a product that is on sale tells nobody anything without a session
--- only: module
--- sale
1 153 limit=2
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub { return join(', ', main::told('a'), main::told('a', cookie('b')), main::told('a', cookie('a', expires => 1))) . "\n" }
--- response_body
401 login_required, 403 bad_signature, 401 login_required



=== TEST 4: the buyer of the last item repeats their request, and is answered as its buyer
--- only: module
--- sale
1 153 limit=2
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    main::sell_out(2);
    my @again = map { main::told('first2', cookie('first2'), main::key('k2')) } 1 .. 3;
    my $quoted = main::told('first2', cookie('first2'), main::key('"k2"'));
    return join(', ', @again, $quoted, 'repeats ' . main::metric('seckill_repeats_total')) . "\n";
}
--- response_body
202 without a permit, 202 without a permit, 202 without a permit, 202 without a permit, repeats 4



=== TEST 5: other clicks of a buyer who has the item are duplicates, not too late
--- only: module
--- sale
1 153 limit=2
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    main::sell_out(2);
    return join(', ', main::told('first1', cookie('first1'), main::key('another')), main::told('first1', cookie('first1'))) . "\n";
}
--- response_body
409 duplicate, 409 duplicate



=== TEST 6: whoever names a winner without being one is not answered as one
--- only: module
--- sale
1 153 limit=2
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    main::sell_out(2);
    my $forged = main::told('first1', cookie('first1', secret => 'guessed' x 6), main::key('k1'));
    my $theirs = main::told('mallory', cookie('first1'), main::key('k1'));
    return "$forged, $theirs\n";
}
--- response_body
401 login_required, 403 bad_signature



=== TEST 7: clicks on a sold-out product leave the rate to the buyers of another
--- only: module
--- sale
1 153 limit=1
1 154 limit=20
--- config eval: gate_location('seckill_rate rate=1r/s burst=22;') . ' location = /metrics { seckill_status; }'
--- request: GET /metrics
--- response_body_filters eval
sub {
    main::sell_out(1);
    main::told("crowd$_", cookie("crowd$_")) for 1 .. 40;
    my %told;
    for my $buyer (map {"buyer$_"} 1 .. 20) {
        my $path = hidden_path($buyer, '1', '154');
        my ($status) = SeckillClick::answer(SeckillClick::post($path, cookie($buyer))) =~ m{^HTTP/1\.1 (\d+)};
        $told{$status}++;
    }
    return join(', ', map {"$_ x $told{$_}"} sort keys %told) . "\n";
}
--- response_body
202 x 20



=== TEST 8: clicks that are refused for their captcha or as a second one take no token either
--- only: module
--- sale
1 153 limit=20
--- config eval: gate_location('seckill_rate rate=1r/s burst=2; seckill_captcha on;') . ' location = /metrics { seckill_status; }'
--- request: GET /metrics
--- response_body_filters eval
sub {
    my @told = map { main::told($_, cookie($_)) } ('nopass') x 5;
    my $li = sub { main::told('li', cookie('li'), captcha('li', '1', '153')) };
    push @told, $li->(), $li->(), $li->(), main::told('wang', cookie('wang'), captcha('wang', '1', '153'));
    return join(', ', @told) . "\n";
}
--- response_body
403 captcha_required, 403 captcha_required, 403 captcha_required, 403 captcha_required, 403 captcha_required, 202 with a permit, 409 duplicate, 409 duplicate, 202 with a permit
