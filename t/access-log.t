use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(click answer);
use JSON::PP ();
use IO::Socket::INET;

our $shop = gate_location() . ' location = /start { return 200; } access_log logs/seckill.json seckill_json;';

# Sends $text as it is, and waits for the response.
sub raw {
    my ($text) = @_;
    my $edge = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $ENV{TEST_NGINX_SERVER_PORT}) or die $!;
    print $edge $text;
    return answer($edge);
}

# The log's lines, once there are $n of them; dies on one that is not JSON.
sub lines {
    my ($n) = @_;
    my @lines;
    SeckillTest::eventually(sub {
        open my $log, '<', "$ENV{TEST_NGINX_SERVROOT}/logs/seckill.json" or return;
        @lines = <$log>;
        return @lines >= $n;
    });
    return map { JSON::PP->new->utf8->decode($_) } @lines;
}

# Each line's status and verdict.
sub summary { CORE::join ', ', map {"$_->{status} $_->{verdict}"} @_ }

run_tests();

__DATA__

=== TEST 1: a line each, with what the gate decided, for whom and on which permit
--- sale
1 153 limit=1
--- config eval: $::shop
--- request: GET /start
--- response_body_filters eval
sub {
    main::answer(main::click($_)) for qw(li li wang);
    my (undef, @lines) = main::lines(4);
    my ($first) = @lines;
    my @about = map { $first->{$_} } qw(method uri user round product arrival);
    my $permit = $first->{permit} =~ /^[\w-]+\.[\w-]+\.1$/ ? 'a permit' : $first->{permit};
    return main::summary(@lines) . "; @about, $permit\n";
}
--- response_body
202 admitted, 409 duplicate, 410 sold_out; POST /buy/ li 1 153 1, a permit



=== TEST 2: a buyer who leaves while waiting has a line as well
--- sale
1 153 limit=10
--- config eval: $::shop
--- request: GET /start
--- response_body_filters eval
sub {
    redis_freeze();
    my $edge = main::click('li');
    # Leaves before a response.
    close $edge;
    my (undef, @lines) = main::lines(2);
    redis_thaw();
    return main::summary(@lines) . "\n";
}
--- response_body_like: ^(499|503) (unavailable)?$
--- allow_errors



=== TEST 3: whatever a client sends, each line is JSON
--- sale
1 153 limit=10
--- config eval: $::shop
--- allow_errors
--- request: GET /start
--- response_body_filters eval
sub {
    my $path = hidden_path('li', '1', '153');
    my $end  = "Host: shop\r\nConnection: close\r\n\r\n";
    main::raw("GET /%ff%22%5c%00x HTTP/1.1\r\n$end");
    main::raw("GET /%ff%22%5c HTTP/1.1\r\nUser-Agent: \"a\\b\xff\xfe\r\n$end");
    main::raw("POST $path HTTP/1.1\r\nIdempotency-Key: \"\xff\r\n$end");
    main::raw("NONSENSE\r\n\r\n");
    main::raw("GET /\r\n");
    main::raw("GET / HTTP/1.1\r\n\xff\r\n\r\n");
    main::raw("GET /" . 'x' x 40_000 . " HTTP/1.1\r\n$end");
    my (undef, @lines) = main::lines(8);
    return main::summary(@lines) . "\n";
}
--- response_body
400 , 404 , 400 bad_request, 400 , 200 , 400 , 414 



=== TEST 4: neither session nor hidden URL nor query is in it
--- sale
1 153 limit=10
--- config eval: $::shop
--- request: GET /start
--- response_body_filters eval
sub {
    my $path = hidden_path('li', '1', '153');
    my $cookie = cookie('li');
    main::raw("POST $path?quantity=1&secret=yes HTTP/1.1\r\nHost: shop\r\n$cookie\r\nReferer: http://shop$path\r\nConnection: close\r\n\r\n");
    main::raw("POST //x/../%62uy" . substr($path, 4) . " HTTP/1.1\r\nHost: shop\r\n$cookie\r\nConnection: close\r\n\r\n");
    main::lines(3);
    my ($digest) = $path =~ /\.([^.]+)$/;
    my ($token) = $cookie =~ /\.([^.]+)$/;
    open my $log, '<', "$ENV{TEST_NGINX_SERVROOT}/logs/seckill.json" or die $!;
    my @leaks = grep { /\Q$digest\E|\Q$token\E|secret/ } <$log>;
    return @leaks ? "leaks: @leaks" : "nothing\n";
}
--- response_body
nothing



=== TEST 5: the session alone names the user of a page, and of a refused purchase
--- sale
1 153 limit=10
--- config eval
"$::shop location ~ /state\$ { seckill_state; } location /page { return 200; }"
--- request: GET /start
--- response_body_filters eval
sub {
    my $li     = cookie('li');
    my $forged = $li =~ s/li/wang/r;
    my $end    = "Host: shop\r\nConnection: close\r\n";
    main::raw("GET /page HTTP/1.1\r\n$end$li\r\n\r\n");
    main::raw("GET /api/rounds/1/products/153/state HTTP/1.1\r\n$end$li\r\n\r\n");
    main::raw("GET /page HTTP/1.1\r\n$end$forged\r\n\r\n");
    main::raw("GET /page HTTP/1.1\r\n$end\r\n");
    my $path = hidden_path('wang', '1', '153');
    main::raw("POST $path HTTP/1.1\r\n$end$li\r\n\r\n");
    my (undef, @lines) = main::lines(6);
    return CORE::join(', ', map {"$_->{status} \"$_->{user}\""} @lines) . "\n";
}
--- response_body
200 "li", 200 "li", 200 "", 200 "", 403 "li"
