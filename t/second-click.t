use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(status_of);
use SeckillServers qw(free_port);

our $gate = gate_location() . ' location = /metrics { seckill_status; }';

# Lets a buyer buy again, as the back end does.
sub may_buy_again { redis('XADD', 'seckill::regrabs', '*', 'item', '1::153', 'user', shift) }

our $stop_second;

# A second edge of the same site: another nginx, with the configuration of the
# first but for its port and its zone, which is its own.
sub second_edge {
    my $root = "$ENV{TEST_NGINX_SERVROOT}-second";
    File::Path::make_path("$root/logs", "$root/conf");
    my $port = free_port();
    open my $in, '<', "$ENV{TEST_NGINX_SERVROOT}/conf/nginx.conf" or die $!;
    my $text = CORE::join '', <$in>;
    $text =~ s/\Q$ENV{TEST_NGINX_SERVROOT}\E/$root/g;
    $text =~ s/listen\s+\Q$ENV{TEST_NGINX_SERVER_PORT}\E/listen $port/g;
    # The first edge keeps its sockets, and is the back end of both.
    $text =~ s/^\s*server \{\s*listen unix:.*?^    \}\n//gms;
    # Under valgrind Test::Nginx keeps nginx in the foreground.
    $text =~ s/daemon off;/daemon on;/;
    open my $out, '>', "$root/conf/nginx.conf" or die $!;
    print $out $text;
    close $out;
    my @nginx = ($ENV{TEST_NGINX_BINARY}, '-e', "$root/logs/error.log", '-p', $root, '-c', "$root/conf/nginx.conf");
    system(@nginx) == 0 or die "the second edge did not start; see $root/logs/error.log\n";
    my $click = sub {
        local $ENV{TEST_NGINX_SERVER_PORT} = $port;
        return status_of(@_);
    };
    my $ready = sub {
        local $ENV{TEST_NGINX_SERVER_PORT} = $port;
        return SeckillClick::get('/metrics') =~ /^seckill_table_entries\{table="products"\} 1$/m;
    };
    SeckillTest::eventually(sub { $ready->() }) or die "the second edge does not sell\n";
    $stop_second = sub {
        system @nginx, '-s', 'stop';
        undef $stop_second;
    };
    return { click => $click, stop => $stop_second };
}

# Also after a test that died.
END { $stop_second->() if $stop_second }

run_tests();

__DATA__

=== TEST 1: a second click is refused at the edge and takes no permit
--- sale
1 153 limit=10
--- config eval: $::gate
--- pipelined_requests eval: [map {"POST " . hidden_path('li', '1', '153')} 1 .. 3]
--- more_headers eval: [map { cookie('li') } 1 .. 3]
--- error_code eval: [202, 409, 409]
--- response_body_like eval: [qr/^permit=/, (qr/"code":"duplicate"/) x 2]



=== TEST 2: the same request passes again, to get the same response
--- sale
1 153 limit=10
--- config eval: $::gate
--- pipelined_requests eval: [map {"POST " . hidden_path('li', '1', '153')} 1 .. 3]
--- more_headers eval: [map { cookie('li') . "\nIdempotency-Key: $_" } qw(one one two)]
--- error_code eval: [202, 202, 409]



=== TEST 3: another product and another buyer are no second click
--- sale
1 153 limit=10
1 154 limit=10
--- config eval: $::gate
--- pipelined_requests eval: ['POST ' . hidden_path('li', '1', '153'), 'POST ' . hidden_path('li', '1', '154'), 'POST ' . hidden_path('wang', '1', '153')]
--- more_headers eval: [cookie('li'), cookie('li'), cookie('wang')]
--- error_code eval: [202, 202, 202]



=== TEST 4: a buyer whom the back end could not serve may click again at once
--- sale
1 153 limit=10
--- config eval: $::gate =~ s{proxy_pass .*?;}{proxy_pass http://unix:/nowhere.sock;}r
--- allow_errors
--- pipelined_requests eval: [map {"POST " . hidden_path('li', '1', '153')} 1 .. 2]
--- more_headers eval: [map { cookie('li') } 1 .. 2]
--- error_code eval: [503, 503]
--- response_body_like eval: [(qr/"code":"unavailable"/) x 2]



=== TEST 5: a buyer whom the back end lets buy again passes
--- sale
1 153 limit=10
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my @before = map { main::status_of($_) } qw(li li wang wang);
    redis('XADD', 'seckill::regrabs', '*', 'item', "\xff", "\xfe", 'no user', 'user', "\xff");
    main::may_buy_again('li');
    my $li = SeckillTest::eventually(sub { main::status_of('li') == 202 }, 1) ? 'li may' : 'li may not';
    return "@before, $li, wang " . main::status_of('wang') . ', li again ' . main::status_of('li') . "\n";
}
--- response_body
202 409 202 409, li may, wang 409, li again 409



=== TEST 6: also one who was named while the edge could not reach Redis
--- sale
1 153 limit=10
--- config eval: $::gate
--- allow_errors
--- request: GET /metrics
--- response_body_filters eval
sub {
    my @before = map { main::status_of($_) } qw(li li);
    redis('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    main::may_buy_again('li');
    my $li = SeckillTest::eventually(sub { main::status_of('li') == 202 }, 2) ? 'li may' : 'li may not';
    return "@before, $li\n";
}
--- response_body
202 409, li may



=== TEST 7: a stream of another type stops nobody
--- sale
1 153 limit=10
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    redis('SET', 'seckill::regrabs', 'garbage');
    SeckillTest::eventually(sub { SeckillClick::log_has('error.log', 'may buy again cannot be read') });
    return CORE::join(' ', map { main::status_of($_) } qw(li li wang)) . "\n";
}
--- response_body
202 409 202
--- error_log: who may buy again cannot be read



=== TEST 8: every edge reads the stream by itself
--- sale
1 153 limit=10
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $other = main::second_edge();
    my @before = (main::status_of('li'), main::status_of('li'), $other->{click}->('wang'), $other->{click}->('wang'));
    main::may_buy_again($_) for qw(li wang);
    my $here  = SeckillTest::eventually(sub { main::status_of('li') == 202 }, 1) ? 'here' : 'not here';
    my $there = SeckillTest::eventually(sub { $other->{click}->('wang') == 202 }, 1) ? 'there' : 'not there';
    $other->{stop}->();
    return "@before, $here and $there\n";
}
--- response_body
202 409 202 409, here and there
