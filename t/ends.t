use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(metric status_of log_has);
use SeckillEdge qw(second_edge end_edge kill_edge start_again change get_at);
use SeckillServers qw(free_port server relay ask);

# What an edge keeps for when Redis is away does not end with it: an edge that is stopped
# returns it, and of one that was killed it ends as soon as its death is proven.
our $server = gate_location('seckill_fallback pass;') . ' location = /metrics { seckill_status; } location ~ /state$ { seckill_state; }';
# A byte a second: whoever reads it holds a worker.
our $slow = "location = /slow { limit_rate 1; return 200 @{['.' x 1000]}; }";

sub permits { redis('GET', 'seckill::{1::153}::permits') // 0 }
sub leases { my %leases = @{ redis('HGETALL', 'seckill::{1::153}::leases') }; \%leases }
sub redis_ms { my ($s, $us) = @{ redis('TIME') }; $s * 1000 + int $us / 1000 }
# Those that may be spent later than now.
sub ahead {
    my $leases = leases();
    return grep { my ($taken) = $$leases{$_} =~ /:(\d+)$/; $taken > redis_ms() } sort keys %$leases;
}
sub keeps { get_at($_[0]{port}, '/metrics') =~ /^seckill_permits_kept (\d+)\r?$/m ? $1 : 0 }
# An edge that keeps its half.
sub keeper {
    my $edge = second_edge(http_config($_[0]), $server);
    die 'the edge keeps ' . keeps($edge) . "\n" unless eventually { keeps($edge) == 50 } 10;
    return $edge;
}

# The beginning of a request to an edge, and what has come back of it.
sub begun {
    my ($edge, $text) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $$edge{port}) or die "no edge: $!\n";
    print $socket $text;
    return $socket;
}
# A connection that holds the worker, whose response has begun.
sub held {
    my $socket = begun($_[0], "GET /slow HTTP/1.0\r\nHost: shop\r\n\r\n");
    sysread $socket, my $byte, 1 or die "no response: $!\n";
    return $socket;
}
# The living edges of this identity.
sub living {
    my ($identity) = @_;
    return grep {/\.$identity\./} @{ redis('ZRANGEBYSCORE', 'seckill::edges', redis_ms(), '+inf') };
}

# A Redis that is 10 ms away, with so many products on sale.
sub far_away {
    my ($products) = @_;
    my $redis = server('127.0.0.1', free_port());
    ask($redis, 'PING');
    local $SeckillRedis::elsewhere = $$redis{connection};
    offer('1', $_, opens => now_ms() - 10_000, ends => now_ms() + 3_600_000, limit => 10) for 1 .. $products;
    return ($redis, relay($redis, sub { Time::HiRes::sleep(0.01) }));
}

run_tests();

__DATA__

=== TEST 1: an edge that is stopped returns what it keeps
--- sale
1 153 limit=100
--- config
location = /nothing { return 204; }
--- request: GET /nothing
--- error_code: 204
--- response_body_filters eval
sub {
    my $edge = main::keeper();
    die 'permits: ' . main::permits() . "\n" unless main::permits() == 50;
    SeckillEdge::end_edge($edge);
    die 'permits: ' . main::permits() . ', leases ' . %{ main::leases() } . "\n" if main::permits() || %{ main::leases() };
    return $_[0];
}



=== TEST 2: an edge that is reloaded keeps it
--- sale
1 153 limit=100
--- config
location = /nothing { return 204; }
--- request: GET /nothing
--- error_code: 204
--- response_body_filters eval
sub {
    my $edge = main::keeper();
    my ($before) = `pgrep -P $$edge{pid}` =~ /(\d+)/;
    kill 'HUP', $$edge{pid};
    die "the worker does not leave\n" unless SeckillTest::eventually(sub { !kill 0, $before });
    die 'permits: ' . main::permits() . ', kept ' . main::keeps($edge) . "\n" unless main::permits() == 50 && main::keeps($edge) == 50;
    SeckillEdge::end_edge($edge);
    return $_[0];
}



=== TEST 3: what a killed edge kept may be closed as soon as the next one runs
--- sale
1 153 limit=100
--- config
location = /nothing { return 204; }
--- request: GET /nothing
--- error_code: 204
--- response_body_filters eval
sub {
    my $edge = main::keeper();
    SeckillEdge::kill_edge($edge);
    my ($lease) = main::ahead() or die "a killed edge has returned permits\n";
    # Nobody sends it a request.
    SeckillEdge::launch($edge);
    die "its lease goes on\n" unless SeckillTest::eventually(sub { !grep { $_ eq $lease } main::ahead() }, 10);
    # Its permits are its own until the back end has closed it.
    die "its lease is gone\n" unless main::leases()->{$lease} =~ /^50:/;
    SeckillEdge::end_edge($edge);
    return $_[0];
}



=== TEST 4: while its worker lives on, nothing of it ends
--- sale
1 153 limit=100
--- config
location = /nothing { return 204; }
--- request: GET /nothing
--- error_code: 204
--- response_body_filters eval
sub {
    my $edge = main::keeper();
    my ($worker) = `pgrep -P $$edge{pid}` =~ /(\d+)/;
    my ($lease) = main::ahead();
    SeckillRedis::freeze($worker);
    kill 'KILL', $$edge{pid};
    waitpid $$edge{pid}, 0;
    # The port is still taken: another one, with the same pid file.
    (my $moved = do { local (@ARGV, $/) = "$$edge{folder}/nginx.conf"; <> }) =~ s/listen 127.0.0.1:\d+/'listen 127.0.0.1:' . ($$edge{port} = SeckillServers::free_port())/e;
    unlink glob SeckillRedis::folder() . '/*.second';
    open my $conf, '>', "$$edge{folder}/nginx.conf" or die;
    print $conf $moved;
    close $conf;
    SeckillEdge::start_again($edge);
    die "the new edge does not read Redis\n" unless SeckillTest::eventually(sub { SeckillEdge::get_at($$edge{port}, '/api/rounds/1/products/153/state') =~ /"open"/ });
    my $goes_on = grep { $_ eq $lease } main::ahead();
    kill 'KILL', $worker;
    SeckillEdge::end_edge($edge);
    die "the lease of a living worker has ended\n" unless $goes_on;
    return $_[0];
}



=== TEST 5: a zone of another size is another edge: its death is proven, too
--- sale
1 153 limit=100
--- config
location = /nothing { return 204; }
--- request: GET /nothing
--- error_code: 204
--- response_body_filters eval
sub {
    my $edge = main::keeper();
    my ($before) = `pgrep -P $$edge{pid}` =~ /(\d+)/;
    (my $resized = do { local (@ARGV, $/) = "$$edge{folder}/nginx.conf"; <> }) =~ s/(seckill_zone \w+):\d+m/$1:9m/ or die "no zone in the configuration\n";
    open my $conf, '>', "$$edge{folder}/nginx.conf" or die;
    print $conf $resized;
    close $conf;
    my ($old) = main::ahead();
    kill 'HUP', $$edge{pid};
    die "the worker does not leave\n" unless SeckillTest::eventually(sub { !kill 0, $before });
    my $lease;
    die "the new edge keeps nothing\n" unless SeckillTest::eventually(sub { ($lease) = grep { $_ ne $old } main::ahead() });
    SeckillEdge::kill_edge($edge);
    SeckillEdge::start_again($edge);
    my $has_ended = SeckillTest::eventually(sub { !grep { $_ eq $lease } main::ahead() });
    SeckillEdge::end_edge($edge);
    die "the lease of the resized edge goes on\n" unless $has_ended;
    return $_[0];
}



=== TEST 6: whichever signal stops an edge, it returns what it keeps of every product
--- sale
1 153 limit=100
1 154 limit=100
1 155 limit=100
2 21 limit=100
--- config
location = /nothing { return 204; }
--- request: GET /nothing
--- error_code: 204
--- response_body_filters eval
sub {
    for my $signal (qw(TERM QUIT)) {
        my $edge = SeckillEdge::second_edge(main::http_config(), $::server);
        die "$signal: the edge keeps " . main::keeps($edge) . "\n" unless SeckillTest::eventually(sub { main::keeps($edge) == 200 }, 10);
        SeckillEdge::end_edge($edge, $signal);
        for my $item (qw(1::153 1::154 1::155 2::21)) {
            my ($permits, $leases) = (redis('GET', "seckill::{$item}::permits"), redis('HLEN', "seckill::{$item}::leases"));
            die "$signal: permits $permits of $item, leases $leases\n" if $permits || $leases;
        }
    }
    return $_[0];
}



=== TEST 7: after an upgrade of the binary it is the new nginx whose death is proven
--- sale
1 153 limit=100
--- config
location = /nothing { return 204; }
--- request: GET /nothing
--- error_code: 204
--- response_body_filters eval
sub {
    # nginx upgrades only as a daemon, which forks: its first process ends.
    my $edge = SeckillEdge::second_edge(main::http_config(), "$::server $::slow", 'daemon on;');
    waitpid $$edge{pid}, 0;
    my $old = $$edge{pid} = SeckillEdge::named_pid($edge);
    die 'the edge keeps ' . main::keeps($edge) . "\n" unless SeckillTest::eventually(sub { main::keeps($edge) == 50 }, 10);
    my ($of_old) = main::ahead();
    my ($identity_of_old) = $of_old =~ /\.([0-9a-f]+)-/ or die "$of_old names no identity\n";
    my $held = main::held($edge);
    kill 'USR2', $old;
    die "no new nginx\n" unless SeckillTest::eventually(sub { my $new = SeckillEdge::named_pid($edge); $new && $new != $old }, 10);
    kill 'QUIT', $old;
    my $has_ended_first = SeckillTest::eventually(sub { !main::living($identity_of_old) && !grep {/\.$identity_of_old-/} keys %{ main::leases() } }, 20);
    close $held;
    die "the old nginx does not leave\n" unless SeckillTest::eventually(sub { !kill 0, $old });
    my $lease;
    die "the new nginx keeps nothing\n" unless SeckillTest::eventually(sub { ($lease) = grep { $_ ne $of_old } main::ahead() });
    my ($identity) = $lease =~ /\.([0-9a-f]+)-/ or die "$lease names no identity\n";
    my $is_named = SeckillTest::eventually(sub {
        open my $in, '<', "$$edge{folder}/nginx.pid.seckill" or return;
        return (<$in> // '') =~ /^0*$identity$/;
    }, 10);
    $$edge{pid} = SeckillEdge::named_pid($edge);
    SeckillEdge::kill_edge($edge);
    SeckillEdge::start_again($edge);
    waitpid $$edge{pid}, 0;
    $$edge{pid} = SeckillEdge::named_pid($edge);
    my $has_ended = SeckillTest::eventually(sub { !grep { $_ eq $lease } main::ahead() }, 10);
    SeckillEdge::end_edge($edge);
    die "the old nginx counted as alive with its last connection\n" unless $has_ended_first;
    die "the new nginx was not named\n" unless $is_named;
    die "the lease of the upgraded edge goes on\n" unless $has_ended;
    return $_[0];
}



=== TEST 8: of many products, too, and with a Redis that is far away
--- config
location = /nothing { return 204; }
--- request: GET /nothing
--- error_code: 204
--- response_body_filters eval
sub {
    my ($redis, $through) = main::far_away(60);
    (my $http = main::http_config()) =~ s/seckill_redis \S+/seckill_redis $through/ or die "no seckill_redis\n";
    my $edge = SeckillEdge::second_edge($http, $::server);
    die 'the edge keeps ' . main::keeps($edge) . "\n" unless SeckillTest::eventually(sub { main::keeps($edge) == 600 }, 20);
    SeckillEdge::end_edge($edge);
    my @left = grep { SeckillServers::ask($redis, 'HLEN', "seckill::{1::$_}::leases") } 1 .. 60;
    die 'leases of ' . @left . " products are open\n" if @left;
    return $_[0];
}



=== TEST 9: an edge whose zone a reload replaced has ended, though its worker still serves somebody
--- sale
1 153 limit=100
--- config
location = /nothing { return 204; }
--- request: GET /nothing
--- error_code: 204
--- response_body_filters eval
sub {
    local $::server = "$::server $::slow";
    my $edge = main::keeper('seckill_node twin;');
    my ($identity) = (main::ahead())[0] =~ /\.([0-9a-f]+)-/ or die "its lease names no identity\n";
    # A click that comes while the edge ends: the other half of it follows.
    my $click = main::begun($edge, 'POST ' . hidden_path('slow', '1', '153') . " HTTP/1.1\r\nHost: shop\r\n");
    my $held = main::held($edge);
    my $worker = SeckillEdge::change($edge, sub { s/(seckill_zone \w+):\d+m/$1:9m/ });
    my @seen;
    push @seen, 'it counts as alive' unless SeckillTest::eventually(sub { !main::living($identity) }, 20);
    my $has_leases = sub { grep {/\.$identity-/} keys %{ main::leases() } };
    push @seen, 'it keeps permits' unless SeckillTest::eventually(sub { !$has_leases->() }, 20);
    push @seen, 'the next one keeps ' . main::keeps($edge) unless SeckillTest::eventually(sub { main::keeps($edge) == 50 }, 20);
    my $sees = sub { SeckillEdge::get_at($$edge{port}, '/metrics') =~ /^seckill_edges (\d+).*^seckill_edges_same_name (\d+)/ms ? "$1 edges, $2 of this name" : 'none' };
    push @seen, 'seen: ' . $sees->() unless SeckillTest::eventually(sub { $sees->() eq '2 edges, 0 of this name' }, 20);
    # What it still serves it serves as before, and counts.
    print $click CORE::join "\r\n", cookie('slow'), 'Connection: close', '', '';
    my $answer = SeckillClick::answer($click);
    push @seen, "the click: $answer" unless $answer =~ m{^HTTP/1\.1 202 .*permit=[^.]+\.$identity-}s;
    push @seen, 'a lease stays open' unless SeckillTest::eventually(sub { !$has_leases->() }, 20);
    push @seen, 'permits: ' . main::permits() unless SeckillTest::eventually(sub { main::permits() == 1 + main::keeps($edge) }, 20);
    push @seen, 'the worker has left' unless kill 0, $worker;
    close $held;
    push @seen, 'the worker does not leave' unless SeckillTest::eventually(sub { !kill 0, $worker });
    SeckillEdge::end_edge($edge);
    die CORE::join("; ", @seen) . "\n" if @seen;
    return $_[0];
}



=== TEST 10: what a reload changes holds at once, though the worker of before still serves somebody
--- sale
1 153 limit=100
--- config
location = /nothing { return 204; }
--- request: GET /nothing
--- error_code: 204
--- response_body_filters eval
sub {
    (my $keeps_none = "$::server $::slow") =~ s/seckill_fallback pass;/seckill_fallback refuse;/ or die "no fallback\n";
    my $edge = SeckillEdge::second_edge(main::http_config('seckill_node before;'), $keeps_none);
    my $is_called = sub { my ($name) = @_; grep {/^$name\./} @{ redis('ZRANGEBYSCORE', 'seckill::edges', main::redis_ms(), '+inf') } };
    die "the edge is not counted\n" unless SeckillTest::eventually(sub { $is_called->('before') });
    my $held = main::held($edge);
    my $worker = SeckillEdge::change($edge, sub { s/seckill_fallback refuse;/seckill_fallback pass;/; s/seckill_node before/seckill_node after/ });
    my @seen;
    push @seen, 'it keeps ' . main::keeps($edge) unless SeckillTest::eventually(sub { main::keeps($edge) == 50 }, 20);
    push @seen, 'it is counted by another name' unless SeckillTest::eventually(sub { $is_called->('after') && !$is_called->('before') }, 20);
    push @seen, 'the worker has left' unless kill 0, $worker;
    close $held;
    SeckillEdge::end_edge($edge);
    die CORE::join("; ", @seen) . "\n" if @seen;
    return $_[0];
}
