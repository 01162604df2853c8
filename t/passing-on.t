use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(post answer metric);
use SeckillSign ();

# What the module itself sets for the back end: nothing of it can come from a client, and
# a signature says that it came from an edge.
our $echo = 'add_header X-Seckill-Outcome used always; return 202 "'
    . 'permit=$http_x_seckill_permit user=$http_x_seckill_user request=$http_x_request_id'
    . ' arrival=$http_x_seckill_arrival admission=$http_x_seckill_admission own=$http_x_own\n";';
our $echoing = do {
    (my $config = http_config()) =~ s/add_header X-Seckill-Outcome used always;\s*return 202 [^;]*;/$echo/
        or die "the back end of the suites has changed\n";
    $config;
};
our $gate = gate_location() . ' location = /metrics { seckill_status; }';

# The headers that the back end got with a click of li on product 153.
sub passed_on {
    my ($query, @headers) = @_;
    my $path = hidden_path('li', '1', '153') . ($query // '');
    my (undef, $body) = split /\r\n\r\n/, answer(post($path, cookie('li'), @headers)), 2;
    my %got = map { split /=/, $_, 2 } split ' ', $body // '';
    return \%got;
}

# Whether the signature is that of these headers.
sub is_signed {
    my ($got, $quantity, $pass) = @_;
    my ($kid, $text) = split /\./, $got->{admission}, 2;
    my @fields = ($got->{user}, '1', '153', $quantity, $got->{request}, $got->{permit}, $pass // '');
    return $text eq SeckillSign::_hmac($KEYS{$kid}, 'admission', @fields) ? 'signed' : 'not signed';
}

run_tests();

__DATA__

=== TEST 1: the back end gets buyer, request, permit and arrival, signed, without a directive for it
--- sale
1 153 limit=5 per_buyer=2
--- http_config eval: $::echoing
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $got = main::passed_on('?quantity=2', 'Idempotency-Key: one');
    my $permit = $got->{permit} =~ /^[\w-]+\.[\w-]+\.\d+$/ ? 'a permit' : "permit $got->{permit}";
    return "$got->{user}, $got->{request}, $permit, arrival $got->{arrival}, " . main::is_signed($got, 2) . "\n";
}
--- response_body
li, one, a permit, arrival 1, signed



=== TEST 2: a client's own headers of these names reach nobody
--- sale
1 153 limit=5
--- http_config eval: $::echoing
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my @forged = map { ("$_: forged", "\L$_\E: again") } qw(X-Seckill-Permit X-Seckill-User X-Request-Id X-Seckill-Arrival X-Seckill-Admission);
    my $got = main::passed_on(undef, @forged, 'X-Own: kept');
    my @bad = grep { $got->{$_} =~ /forged|again/ } sort keys %$got;
    return "@bad" . "own=$got->{own}, " . main::is_signed($got, 1) . "\n";
}
--- response_body
own=kept, signed



=== TEST 3: without a key the request has nginx's own id, and a key in quotes is sent without
--- sale
1 153 limit=5
--- http_config eval: $::echoing
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $without = main::passed_on(undef);
    redis('XADD', 'seckill::regrabs', '*', 'item', '1::153', 'user', 'li');
    my $quoted;
    SeckillTest::eventually(sub { ($quoted = main::passed_on(undef, 'Idempotency-Key: "two"'))->{user} });
    return ($without->{request} =~ /^[0-9a-f]{32}$/ ? 'own id' : $without->{request}) . ", $quoted->{request}, "
        . main::is_signed($without, 1) . ', ' . main::is_signed($quoted, 1) . "\n";
}
--- response_body
own id, two, signed, signed



=== TEST 4: the pass that was verified is signed with the rest
--- sale
1 153 limit=5
--- http_config eval: $::echoing
--- config eval: $::gate =~ s{seckill_gate\s+on;}{seckill_gate on; seckill_captcha on;}r
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $pass = captcha_pass('li', '1', '153');
    return main::is_signed(main::passed_on(undef, "X-Seckill-Captcha: $pass"), 1, $pass) . "\n";
}
--- response_body
signed



=== TEST 5: a configuration of an earlier version still works
--- sale
1 153 limit=5
--- http_config eval
"$::echoing\n" . 'map $http_idempotency_key $seckill_request { "" $request_id; default $http_idempotency_key; }'
--- config eval
$::gate =~ s/proxy_read_timeout/proxy_set_header X-Request-Id \$seckill_request; proxy_set_header X-Seckill-Permit \$seckill_permit; proxy_set_header X-Seckill-Arrival \$seckill_arrival; proxy_read_timeout/r
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $got = main::passed_on(undef, 'Idempotency-Key: one');
    return "$got->{user}, $got->{request}, " . main::is_signed($got, 1) . "\n";
}
--- response_body
li, one, signed



=== TEST 6: a winner's request that is only answered again carries no permit, and says so signed
--- sale
1 153 limit=1
--- http_config eval: $::echoing
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    main::passed_on(undef, 'Idempotency-Key: one');
    my $again;
    SeckillTest::eventually(sub {
        $again = main::passed_on(undef, 'Idempotency-Key: one');
        return $again->{user} && $again->{permit} eq '';
    });
    return "$again->{user}, permit $again->{permit}, $again->{request}, " . main::is_signed($again, 1) . "\n";
}
--- response_body
li, permit , one, signed



=== TEST 7: nor in another spelling, which a back end with variables in place of headers takes for the same
--- sale
1 153 limit=5
--- http_config eval: $::echoing =~ s/(?=upstream seckill_purchase)/underscores_in_headers on; ignore_invalid_headers off; /r
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my @forged = map { (tr/-/_/r . ': forged', tr/-/./r . ': forged') } qw(X-Seckill-Permit X-Seckill-User X-Request-Id X-Seckill-Arrival X-Seckill-Admission);
    my $got = main::passed_on(undef, @forged, 'X-Own: kept');
    my @bad = grep { $got->{$_} =~ /forged/ } sort keys %$got;
    return "@bad" . "own=$got->{own}, " . main::is_signed($got, 1) . "\n";
}
--- response_body
own=kept, signed
