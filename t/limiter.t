use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(metric get);
use SeckillEdge qw(second_edge end_edge get_at);

# `seckill_rate key=…`: limits any location by any key, without a sale.

# In http{}: nothing of a sale but zone and Redis.
our $plain = "seckill_zone test:2m; seckill_redis unix:" . SeckillRedis::socket_path() . " timeout=$SeckillTest::redis_timeout;";
our $metrics = 'location = /metrics { seckill_status; }';

# `return` in the location itself would answer before any limit.
sub location { my ($rate) = @_; return "location /api/ { seckill_rate key=\$arg_user zone=users:1m $rate; try_files /nothing \@inner; } location \@inner { return 204; }" }

sub status { my ($port, $path) = @_; return get_at($port, $path) =~ m{^HTTP/1\.\d (\d+)} ? $1 : 0 }
sub here { return status($ENV{TEST_NGINX_SERVER_PORT}, @_) }
# $n requests to each of these ports in turn: the statuses, counted.
sub counted {
    my ($n, $path, @ports) = @_;
    my %count;
    for my $i (1 .. $n) {
        $count{status($_, $path)}++ for @ports;
    }
    return \%count;
}
sub shown { my ($count) = @_; return CORE::join(' ', map {"$_ x $$count{$_}"} sort keys %$count) . "\n" }
# What the bucket of a key has let pass by now, at most: rate x time + burst.
sub at_most { my ($rate, $burst, $since) = @_; return int($rate * (Time::HiRes::time() - $since)) + $burst }

run_tests();

__DATA__

=== TEST 1: each key has its own limit, refused as busy with the time to wait
--- http_config eval: $::plain
--- config eval: main::location('rate=1r/s burst=3')
--- request: GET /api/?user=li
--- error_code: 204
--- response_body_filters eval
sub {
    my $li = main::counted(10, '/api/?user=li', $ENV{TEST_NGINX_SERVER_PORT});
    my $wu = main::counted(3, '/api/?user=wu', $ENV{TEST_NGINX_SERVER_PORT});
    my $last = SeckillEdge::get_at($ENV{TEST_NGINX_SERVER_PORT}, '/api/?user=li');
    die "li: " . main::shown($li) unless $$li{204} >= 2 && $$li{204} <= 6 && $$li{429} >= 4;
    die "wu: " . main::shown($wu) unless $$wu{204} == 3;
    die $last unless $last =~ m{^HTTP/1\.1 429} && $last =~ /\nRetry-After: 1\r?\n/ && $last =~ /"code":"busy"/;
    return '';
}
--- response_body:



=== TEST 2: what has no key is not limited
--- http_config eval: $::plain
--- config eval: main::location('rate=1r/s burst=1')
--- request: GET /api/
--- error_code: 204
--- response_body_filters eval
sub { my $all = main::counted(20, '/api/', $ENV{TEST_NGINX_SERVER_PORT}); die main::shown($all) unless $$all{204} == 20; return '' }
--- response_body:



=== TEST 3: two edges together let pass what one bucket would, wherever a key comes
--- http_config eval: $::plain
--- config eval: $::metrics . main::location('rate=5r/s burst=20 scope=site')
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $other = SeckillEdge::second_edge($main::plain, $main::metrics . main::location('rate=5r/s burst=20 scope=site'));
    my ($here, $there) = ($ENV{TEST_NGINX_SERVER_PORT}, $$other{port});
    my @seen;
    for my $case ([evenly => $here, $there], [here => $here], [there => $there], ['turned' => $there, $here]) {
        my ($name, @ports) = @$case;
        my $since = Time::HiRes::time();
        # Until it is refused, twice and more what the burst has.
        my $count = main::counted(60 / @ports, "/api/?user=$name", @ports);
        my $passed = $$count{204} // 0;
        my $most = main::at_most(5, 20, $since);
        push @seen, $passed < 20 ? "$name: only $passed" : $passed > $most ? "$name: $passed of $most" : "$name: as one bucket";
    }
    SeckillEdge::end_edge($other);
    return CORE::join("\n", @seen) . "\n";
}
--- response_body
evenly: as one bucket
here: as one bucket
there: as one bucket
turned: as one bucket
--- allow_errors



=== TEST 4: one that waits as it is told passes at its rate, at whichever edge
--- http_config eval: $::plain
--- config eval: $::metrics . main::location('rate=5r/s burst=1 scope=site')
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $other = SeckillEdge::second_edge($main::plain, $main::metrics . main::location('rate=5r/s burst=1 scope=site'));
    my @ports = ($ENV{TEST_NGINX_SERVER_PORT}, $$other{port});
    my ($since, $passed) = (Time::HiRes::time(), 0);
    # Ten tokens, asked for at both until they come.
    my $all = SeckillTest::eventually(sub { $passed += main::status($ports[rand 2], '/api/?user=li') == 204; $passed >= 10 }, 30);
    my $took = Time::HiRes::time() - $since;
    SeckillEdge::end_edge($other);
    return !$all ? "only $passed\n" : $passed <= 5 * $took + 1 ? "ten, no sooner than the rate\n" : "ten in $took s\n";
}
--- response_body
ten, no sooner than the rate
--- allow_errors



=== TEST 5: while Redis is away each edge lets its part pass
--- http_config eval: $::plain
--- config eval: $::metrics . main::location('rate=2r/s burst=6 scope=site')
--- request: GET /metrics
--- response_body_filters eval
sub {
    main::here('/api/?user=before');
    redis_stop();
    SeckillTest::eventually(sub { main::metric('seckill_redis_away') }) or return "not noticed\n";
    my $since = Time::HiRes::time();
    my $count = main::counted(30, '/api/?user=li', $ENV{TEST_NGINX_SERVER_PORT});
    my ($passed, $most) = ($$count{204} // 0, main::at_most(2, 6, $since));
    my $alone = main::get('/metrics') =~ /^seckill_limit_alone_total\{zone="users"\} (\d+)\r?$/m ? $1 : 0;
    redis_start();
    my $back = SeckillTest::eventually(sub { main::metric('seckill_redis_away') == 0 }) ? 'back' : 'away for ever';
    return ($passed >= 6 && $passed <= $most ? 'its part' : "$passed of $most") . ', ' . ($alone >= 30 ? 'alone' : "$alone alone") . ", $back\n";
}
--- response_body
its part, alone, back
--- allow_errors



=== TEST 6: without memory in Redis the same
--- http_config eval: $::plain
--- config eval: $::metrics . main::location('rate=2r/s burst=6 scope=site')
--- request: GET /metrics
--- response_body_filters eval
sub {
    redis('CONFIG', 'SET', 'maxmemory', 1);
    my $since = Time::HiRes::time();
    my $count = main::counted(30, '/api/?user=li', $ENV{TEST_NGINX_SERVER_PORT});
    my ($passed, $most) = ($$count{204} // 0, main::at_most(2, 6, $since));
    redis('CONFIG', 'SET', 'maxmemory', 0);
    return ($passed >= 6 && $passed <= $most && !grep({ $_ != 204 && $_ != 429 } keys %$count) ? 'its part' : main::shown($count)) . "\n";
}
--- response_body
its part
--- allow_errors



=== TEST 7: many requests of one key at once are few commands
--- http_config eval: $::plain
--- config eval: $::metrics . main::location('rate=1000r/s burst=1000 scope=site')
--- request: GET /metrics
--- response_body_filters eval
sub {
    SeckillTest::eventually(sub { main::metric('seckill_edges') }) or return "no edge\n";
    my @open = map {
        my $edge = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $ENV{TEST_NGINX_SERVER_PORT}) or die $!;
        $edge;
    } 1 .. 40;
    redis_freeze();
    print $_ "GET /api/?user=li HTTP/1.0\r\nHost: shop\r\n\r\n" for @open;
    redis_thaw();
    my %count;
    $count{SeckillClick::answer($_) =~ m{^HTTP/1\.1 (\d+)} ? $1 : 0}++ for @open;
    return main::shown(\%count) . (main::metric('seckill_redis_commands_total') <= 20 ? "few commands\n" : main::metric('seckill_redis_commands_total') . " commands\n");
}
--- response_body
204 x 40
few commands
--- allow_errors



=== TEST 8: a zone is declared once, and used again by its name
--- http_config eval: $::plain
--- config
location /a/ { seckill_rate key=$arg_user zone=users:1m rate=1r/s burst=2; try_files /nothing @inner; }
location /b/ { seckill_rate key=$arg_user zone=users rate=1r/s burst=2; try_files /nothing @inner; }
location @inner { return 204; }
--- request: GET /a/?user=li
--- error_code: 204
--- response_body_filters eval
sub {
    my ($user, @seen) = (0);
    # A machine that takes a second for three requests makes a token meanwhile.
    SeckillTest::eventually(sub {
        $user++;
        @seen = map { main::here("/$_/?user=wu$user") } 'b', 'a', 'b';
        "@seen" eq '204 204 429';
    });
    return "@seen\n";
}
--- response_body
204 204 429



=== TEST 9: another rate for the same zone
--- http_config eval: $::plain
--- config
location /a/ { seckill_rate key=$arg_user zone=users:1m rate=1r/s; }
location /b/ { seckill_rate key=$arg_user zone=users rate=2r/s; }
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_rate: zone "users" has another key, rate, burst or scope/]



=== TEST 10: a key without a zone
--- http_config eval: $::plain
--- config
location /a/ { seckill_rate key=$arg_user rate=1r/s; }
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_rate: with key= needs a zone.*zone=logins:1m/]



=== TEST 11: a limit of the site without Redis
--- http_config
seckill_zone test:2m;
--- config
location /a/ { seckill_rate key=$arg_user zone=users:1m rate=1r/s scope=site; }
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_rate with scope=site needs seckill_redis/]



=== TEST 12: where a location has no key for a request, the limit of the one behind it holds
--- http_config eval: $::plain
--- config
location /api/ { seckill_rate key=$http_x_api_key zone=keys:1m rate=100r/s burst=200; try_files /nothing @app; }
location @app { seckill_rate key=$remote_addr zone=addresses:1m rate=1r/s burst=1; try_files /nothing @inner; }
location @inner { return 204; }
--- request: GET /api/
--- error_code: 204
--- response_body_filters eval
sub { my $all = main::counted(5, '/api/', $ENV{TEST_NGINX_SERVER_PORT}); die main::shown($all) unless ($$all{429} // 0) >= 3; return '' }
--- response_body:



=== TEST 13: an error page below an inherited limit is served, and a refusal counts once
--- http_config eval: $::plain
--- config
seckill_rate key=$arg_user zone=users:1m rate=1r/s burst=1;
error_page 429 /busy.html;
location /api/ { try_files /nothing @inner; }
location @inner { return 204; }
location = /busy.html { }
location = /metrics { seckill_status; }
--- user_files
>>> busy.html
our own page
--- request: GET /metrics
--- response_body_filters eval
sub {
    my @answers = map { SeckillEdge::get_at($ENV{TEST_NGINX_SERVER_PORT}, '/api/?user=li') } 1 .. 4;
    my @refused = grep {m{^HTTP/1\.1 429}} @answers;
    my @own     = grep {/our own page/} @refused;
    my ($counted) = SeckillClick::get('/metrics') =~ /^seckill_limit_refused_total\{zone="users"\} (\d+)/m;
    return @refused >= 2 && @own == @refused && $counted == @refused ? "served\n" : @refused . ' refused, ' . @own . " pages, $counted counted\n";
}
--- response_body
served



=== TEST 14: a zone of the sale's name and size
--- http_config eval: $::plain
--- config
location /a/ { seckill_rate key=$arg_user zone=test:2m rate=1r/s; }
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_zone "test" is the name of a zone of seckill_rate key=…, too/]



=== TEST 15: a limit that is inherited can be switched off
--- http_config eval: $::plain
--- config
seckill_rate key=$arg_user zone=users:1m rate=1r/s burst=1;
location /api/ { seckill_rate off; try_files /nothing @inner; }
location @inner { seckill_rate off; return 204; }
location /limited/ { try_files /nothing @inner; }
--- request: GET /api/?user=li
--- error_code: 204
--- response_body_filters eval
sub {
    my ($open, $limited) = map { main::counted(5, "/$_/?user=li", $ENV{TEST_NGINX_SERVER_PORT}) } qw(api limited);
    die main::shown($open) unless $$open{204} == 5;
    die main::shown($limited) unless ($$limited{429} // 0) >= 3;
    return '';
}
--- response_body:



=== TEST 16: but not where another one stands
--- http_config eval: $::plain
--- config
location /api/ { seckill_rate off; seckill_rate key=$arg_user zone=users:1m rate=1r/s; }
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_rate: is given twice here; remove one/]



=== TEST 17: a rate that is raised by a reload holds at once for keys that had used up the old one
--- config
location = /nothing { return 204; }
--- request: GET /nothing
--- error_code: 204
--- response_body_filters eval
sub {
    my $edge = SeckillEdge::second_edge($::plain, main::location('rate=1r/s burst=60'));
    my $port = $$edge{port};
    my $used = SeckillTest::eventually(sub { main::status($port, '/api/?user=li') == 429 });
    SeckillEdge::reconfigure($edge, sub { s{rate=1r/s burst=60}{rate=100r/s burst=20} });
    my $holds = SeckillTest::eventually(sub { main::status($port, '/api/?user=li') == 204 }, 10);
    SeckillEdge::end_edge($edge);
    die "no limit\n" unless $used;
    die "still busy\n" unless $holds;
    return $_[0];
}
