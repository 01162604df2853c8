# Also runs under valgrind
use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(metric status_of log_has);
use SeckillEdge qw(second_edge end_edge);
use SeckillServers ();
use SeckillHttp2;

# Browsers reach the edge by HTTP/2: many requests share a connection, and each ends by
# itself. Here in plain text, on a port of its own beside that of Test::Nginx.
our $server = gate_location() . ' location = /metrics { seckill_status; } location = /api/time { seckill_time; } location ~ /state$ { seckill_state; }';
our $port   = SeckillServers::free_port();
our $http2  = do {
    # Long enough that a slow machine does not run into the deadline first.
    (my $config = http_config("server { listen 127.0.0.1:$port http2; $server }")) =~ s{(seckill_redis \S+) timeout=\w+}{$1 timeout=20s};
    $config;
};

sub path_of { hidden_path($_[0], '1', '153') }
sub session_of { (cookie => 'seckill_session=' . SeckillSign::session($_[0])) }

# Queues a click of each buyer, on streams 1, 3, 5 … or from $first on.
sub clicks {
    my ($h2, $first, @buyers) = @_;
    my $stream = $first - 2;
    return map { $h2->request($stream += 2, POST => path_of($_), session_of($_)); $stream } @buyers;
}

# Responses in short: "202 x 5, 410 sold_out x 3".
sub summary {
    my (%of) = @_;
    my %count;
    for my $response (values %of) {
        my ($status, $body) = @$response;
        $count{ $status . ($body =~ /"code":"(\w+)"/ ? " $1" : '') }++;
    }
    return CORE::join ', ', map {"$_ x $count{$_}"} sort keys %count;
}

sub permits { (redis('GET', 'seckill::{1::153}::permits') // 0) . ' permits, ' . redis('HLEN', 'seckill::{1::153}::leases') . ' leases' }

sub curl {
    my (@arguments) = @_;
    open my $out, '-|', 'curl', '-s', '--max-time', 20, '--http2-prior-knowledge', '-w', ' %{http_version} %{http_code}', @arguments or die "curl: $!\n";
    local $/;
    return scalar <$out>;
}

run_tests();

__DATA__

=== TEST 1: many streams at once on one connection: exactly as many are admitted as there are permits
--- sale
1 153 limit=20
--- http_config eval: $::http2
--- error_log: is near the
--- no_error_log
[error]
[crit]
[alert]
[emerg]
--- config eval: $::server
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $h2 = SeckillHttp2->connect($main::port);
    my @streams = main::clicks($h2, 1, map {"buyer$_"} 1 .. 60);
    $h2->send;
    my %of = $h2->responses(@streams);
    my @won = grep { $of{$_}[0] eq '202' } @streams;
    my @lost = grep { $of{$_}[0] !~ /^(?:202|410|429)$/ } @streams;
    # Those who were told that it is busy click again.
    SeckillTest::eventually(sub {
        my ($last) = main::clicks($h2, (sort { $b <=> $a } @streams)[0] + 2, 'late' . int rand 1e9);
        push @streams, $last;
        $h2->send;
        return { $h2->responses($last) }->{$last}[1] =~ /"sold_out"/;
    });
    return scalar(@won) . ' won, ' . @lost . ' told something else, ' . main::permits() . "\n";
}
--- response_body
20 won, 0 told something else, 20 permits, 0 leases



=== TEST 2: streams that are reset while they wait for Redis use no permit, and the others are served
--- sale
1 153 limit=10
--- http_config eval: $::http2
--- error_log: is near the
--- no_error_log
[error]
[crit]
[alert]
[emerg]
--- config eval: $::server
--- request: GET /metrics
--- response_body_filters eval
sub {
    my ($n, $h2, @streams) = (0);
    my $parked = SeckillTest::eventually(sub {
        $n++;
        $h2 = SeckillHttp2->connect($main::port);
        redis_freeze();
        @streams = main::clicks($h2, 1, map {"buyer$n-$_"} 1 .. 6);
        $h2->send;
        return 1 if SeckillTest::eventually(sub { main::metric('seckill_parked') == 6 }, 1);
        # A machine so slow that Redis counts as away before all have come.
        undef $h2;
        redis_thaw();
        SeckillTest::eventually(sub { main::metric('seckill_parked') == 0 });
        return 0;
    }) ? 'parked' : return "not parked\n";
    # All but the third and the last, those reset between two that stay among them.
    $h2->reset($_) for grep { $_ != 5 && $_ != 11 } @streams;
    $h2->send;
    # The connection still serves others meanwhile.
    $h2->request(13, GET => '/api/time');
    $h2->send;
    my %time = $h2->responses(13);
    redis_thaw();
    my $stayed = main::summary($h2->responses(5, 11));
    $h2->request(15, POST => main::path_of('later'), main::session_of('later'));
    $h2->send;
    my $later = main::summary($h2->responses(15));
    SeckillTest::eventually(sub { main::permits() eq '3 permits, 0 leases' });
    return "$parked, time $time{13}[0], stayed $stayed, later $later, " . main::permits() . "\n";
}
--- response_body
parked, time 200, stayed 202 x 2, later 202 x 1, 3 permits, 0 leases



=== TEST 3: a stream that is reset in the packet in which it came
--- sale
1 153 limit=10
--- http_config eval: $::http2
--- allow_errors
--- config eval: $::server
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $h2 = SeckillHttp2->connect($main::port);
    my $stream = 1;
    for my $buyer (map {"gone$_"} 1 .. 20) {
        $h2->request($stream, POST => main::path_of($buyer), main::session_of($buyer));
        $h2->reset($stream);
        $stream += 2;
    }
    $h2->request($stream, POST => main::path_of('stays'), main::session_of('stays'));
    $h2->send;
    my $stays = main::summary($h2->responses($stream));
    # Some may have been passed on before the reset was read: none may be stranded.
    SeckillTest::eventually(sub { main::permits() =~ / 0 leases/ });
    my ($granted) = main::permits() =~ /^(\d+)/;
    return "$stays, " . ($granted >= 1 && main::permits() =~ / 0 leases/ ? 'none stranded' : main::permits()) . "\n";
}
--- response_body
202 x 1, none stranded



=== TEST 4: an empty POST: the stream ends with the headers, with and without a length; a body is refused
--- sale
1 153 limit=10
--- http_config eval: $::http2
--- error_log: is near the
--- no_error_log
[error]
[crit]
[alert]
[emerg]
--- config eval: $::server
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $h2 = SeckillHttp2->connect($main::port);
    my @buyer = map { [POST => main::path_of("b$_"), main::session_of("b$_")] } 0 .. 4;
    $h2->request(1, @{ $buyer[0] });
    $h2->request(3, @{ $buyer[1] }, 'content-length' => 0);
    $h2->request_with(5, '', @{ $buyer[2] }, 'content-length' => 0);
    $h2->request_with(7, 'x', @{ $buyer[3] }, 'content-length' => 1);
    $h2->request_with(9, 'x', @{ $buyer[4] });
    $h2->send;
    my %of = $h2->responses(1, 3, 5, 7, 9);
    return CORE::join("\n", map({ "$_: " . main::summary($_ => $of{$_}) } sort keys %of), '');
}
--- response_body
1: 202 x 1
3: 202 x 1
5: 202 x 1
7: 400 bad_request x 1
9: 400 bad_request x 1



=== TEST 5: as curl sends it
--- sale
1 153 limit=10
--- http_config eval: $::http2
--- error_log: is near the
--- no_error_log
[error]
[crit]
[alert]
[emerg]
--- config eval: $::server
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $to = sub { my ($buyer) = @_; ("http://127.0.0.1:$main::port" . main::path_of($buyer), '-H', cookie($buyer)) };
    my @told = (
        main::curl('-X', 'POST', $to->('li')),
        main::curl('-X', 'POST', '-H', 'Content-Length: 0', $to->('wang')),
        main::curl('-d', '', $to->('zhao')),
        main::curl($to->('sun')),
    );
    return CORE::join("\n", map({ /(\d \d+)$/ } @told), '');
}
--- response_body
2 202
2 202
2 202
2 400



=== TEST 6: a header that decides and is sent twice is refused
--- sale
1 153 limit=10
--- http_config eval: $::http2
--- error_log: is near the
--- no_error_log
[error]
[crit]
[alert]
[emerg]
--- config eval: $::server
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $h2 = SeckillHttp2->connect($main::port);
    $h2->request(1, POST => main::path_of('a'), main::session_of('a'), 'idempotency-key' => 'k1', 'idempotency-key' => 'k2');
    # Cookies may be split into several fields (RFC 9113, 8.2.3): they are one.
    $h2->request(3, POST => main::path_of('b'), cookie => 'theme=dark', main::session_of('b'));
    # Of two sessions the first counts, as everywhere.
    $h2->request(5, POST => main::path_of('c'), main::session_of('c'), main::session_of('d'));
    $h2->request(7, POST => main::path_of('e'), main::session_of('d'), main::session_of('e'));
    $h2->send;
    my %of = $h2->responses(1, 3, 5, 7);
    return CORE::join("\n", map({ "$_: " . main::summary($_ => $of{$_}) } sort keys %of), '');
}
--- response_body
1: 400 bad_request x 1
3: 202 x 1
5: 202 x 1
7: 403 bad_signature x 1



=== TEST 7: one process: no master, no workers
--- sale
1 153 limit=3
--- config eval: $::server
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $other = SeckillEdge::second_edge(http_config(), $main::server, 'master_process off;');
    local $ENV{TEST_NGINX_SERVER_PORT} = $$other{port};
    SeckillTest::eventually(sub { main::status_of('li') == 202 });
    my @told = map { main::status_of($_) } qw(li wang zhao);
    SeckillTest::eventually(sub { main::status_of('late' . int rand 1e9) == 410 });
    push @told, SeckillClick::get('/api/rounds/1/products/153/state') =~ /"state":"(\w+)"/;
    SeckillEdge::end_edge($other);
    SeckillTest::eventually(sub { main::permits() eq '3 permits, 0 leases' });
    return "@told, " . main::permits() . "\n";
}
--- response_body
409 202 202 sold_out, 3 permits, 0 leases



=== TEST 8: a reload that changes the zone's size: a new zone sells on at once, and nobody is refused
--- sale
1 153 limit=1000
--- config eval: $::server
--- request: GET /metrics
--- response_body_filters eval
sub {
    my @told = map { main::status_of("first$_") } 1 .. 3;
    my $file = "$ENV{TEST_NGINX_SERVROOT}/conf/nginx.conf";
    for my $size (qw(16m 4m)) {
        open my $in, '<', $file or die $!;
        my $text = do { local $/; <$in> };
        $text =~ s/seckill_zone test:\w+/seckill_zone test:$size/;
        open my $out, '>', $file or die $!;
        print $out $text;
        close $out;
        my ($before) = SeckillClick::get('/metrics') =~ /seckill_edge_info\{edge="([^"]+)"/;
        SeckillClick::reload();
        SeckillTest::eventually(sub { my ($now) = SeckillClick::get('/metrics') =~ /seckill_edge_info\{edge="([^"]+)"/; $now && $now ne $before }) or push @told, "no zone of $size";
        SeckillTest::eventually(sub { main::status_of("then$size") == 202 }) or push @told, "does not sell with $size";
        push @told, map { main::status_of("then$size$_") } 1 .. 3;
    }
    return "@told\n";
}
--- response_body
202 202 202 202 202 202 202 202 202
--- allow_errors
