use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(click answer status_of metric log_has get);
use SeckillServers qw(free_port server relay sentinel name_server end_server ask sell);
use SeckillRedis qw(folder);

# Far less than a server takes to load its file.
$SeckillTest::redis_timeout = '200ms' unless $ENV{TEST_NGINX_USE_VALGRIND};

# What Redis is in production: servers that change roles, names that change their
# addresses, servers that refuse, logins.

our $gate = gate_location() . ' location = /metrics { seckill_status; }';

# The default configuration with another seckill_redis.
sub with_redis {
    my ($arguments, $more) = @_;
    my $config = http_config();
    $config =~ s/seckill_redis [^;]+;/seckill_redis $arguments timeout=$SeckillTest::redis_timeout; @{[ $more \/\/ '' ]}/;
    return $config;
}

our ($first, $second) = map { server('127.0.0.1', free_port()) } 1 .. 2;

sub demote  { my ($server, $to) = @_; ask($server, 'REPLICAOF', $$to{address}, $$to{port}) }
sub promote { my ($server) = @_; ask($server, 'REPLICAOF', 'NO', 'ONE') }
sub follows { my ($server) = @_; eventually { ask($server, 'INFO', 'replication') =~ /master_link_status:up/ } }

our $buyers = 0;
sub passes { status_of('buyer' . ++$buyers) == 202 }
sub works  { my ($what) = @_; (eventually { passes() }) ? "$what: passes" : "$what: never passes" }
sub fails  { my ($what) = @_; (eventually { status_of('buyer' . ++$buyers) == 503 }) ? "$what: unavailable" : "$what: not noticed" }

sub told { return CORE::join "\n", @_, '' }

sub lines {
    my ($pattern) = @_;
    open my $in, '<', "$ENV{TEST_NGINX_SERVROOT}/logs/error.log" or return 0;
    return scalar grep {/$pattern/} <$in>;
}

our ($dns, $dns_port, $moving_port) = (folder() . '/addresses', free_port(), free_port());
sub resolve { open my $out, '>', $dns or die "$dns: $!\n"; print $out map {"$_\n"} @_; close $out }
resolve('127.0.0.2');
name_server('127.0.0.1', $dns_port, $dns);

our ($login_port, $sentinel_port) = map { free_port() } 1 .. 2;
open my $password, '>', folder() . '/password' or die $!;
print $password "open sesame\n";
close $password;
chmod 0640, folder() . '/password';

run_tests();

__DATA__

=== TEST 1: a master that becomes a replica is left for the new master, with a line or two in the log
--- http_config eval: main::with_redis("$main::first->{at} $main::second->{at}")
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- allow_errors
--- response_body_filters eval
sub {
    my ($first, $second) = ($main::first, $main::second);
    main::promote($first);
    main::sell($first);
    main::demote($second, $first);
    main::follows($second);
    my @seen = main::works('first');
    main::promote($second);
    main::demote($first, $second);
    push @seen, main::works('second');
    main::status_of('late' . $_) for 1 .. 20;
    my $granted = main::ask($second, 'GET', 'seckill::{1::153}::permits');
    my $lines = main::lines('redis at');
    return main::told(@seen, $granted > 1 ? 'granted there' : "granted $granted", $lines <= 2 ? 'few lines' : "$lines lines");
}
--- response_body
first: passes
second: passes
granted there
few lines



=== TEST 2: a replica that is the only address names its master
--- http_config eval: main::with_redis($main::first->{at})
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- allow_errors
--- response_body_filters eval
sub {
    my ($first, $second) = ($main::first, $main::second);
    main::promote($second);
    main::sell($second);
    main::demote($first, $second);
    main::follows($first);
    my @seen = main::works('followed');
    # The roles change again, and the worker follows again.
    main::promote($first);
    main::demote($second, $first);
    return main::told(@seen, main::works('back'));
}
--- response_body
followed: passes
back: passes



=== TEST 3: only replicas: nobody passes, and one line says so
--- http_config eval: main::with_redis("$main::first->{at} $main::second->{at}")
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- allow_errors
--- response_body_filters eval
sub {
    my ($first, $second) = ($main::first, $main::second);
    main::promote($_) for $first, $second;
    main::sell($first);
    main::demote($second, $first);
    my @seen = main::works('first');
    main::demote($first, $second);
    push @seen, main::fails('replicas');
    push @seen, SeckillTest::eventually(sub { main::lines('redis at') }) . ' line';
    main::promote($first);
    return main::told(@seen, main::works('again'));
}
--- response_body
first: passes
replicas: unavailable
1 line
again: passes
--- error_log eval: qr/redis at .*read only replica/



=== TEST 4: without memory Redis is away, over the same connection, until it has some again
--- sale
1 153 limit=1000
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my @seen = main::works('before');
    my $connects = main::metric('seckill_redis_connects_total');
    redis('CONFIG', 'SET', 'maxmemory', 1);
    push @seen, main::fails('full');
    main::status_of("full$_") for 1 .. 20;
    push @seen, 'away ' . main::metric('seckill_redis_away');
    redis('CONFIG', 'SET', 'maxmemory', 0);
    push @seen, main::works('after');
    push @seen, 'away ' . SeckillTest::eventually(sub { main::metric('seckill_redis_away') == 0 });
    push @seen, main::metric('seckill_redis_connects_total') - $connects . ' new connections';
    return main::told(@seen, main::lines('refuses to work: .*OOM') . ' line, ' . main::lines('cannot be taken') . ' others');
}
--- response_body
before: passes
full: unavailable
away 1
after: passes
away 1
0 new connections
1 line, 0 others
--- error_log: is back



=== TEST 5: a disk that cannot be written to is told as such
--- http_config eval
our $disk = main::server('127.0.0.1', main::free_port());
main::sell($disk);
main::with_redis($disk->{at})
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my $disk = $Test::Base::Filter::disk;
    my @seen = main::works('before');
    my $connects = main::metric('seckill_redis_connects_total');
    my $dir = SeckillRedis::folder() . '/gone';
    mkdir $dir;
    my (undef, $old) = @{ main::ask($disk, 'CONFIG', 'GET', 'dir') };
    main::ask($disk, 'CONFIG', 'SET', 'dir', $dir);
    rmdir $dir;
    main::ask($disk, 'CONFIG', 'SET', 'save', '3600 1');
    main::ask($disk, 'BGSAVE');
    push @seen, main::fails('no disk');
    main::status_of("none$_") for 1 .. 20;
    main::ask($disk, 'CONFIG', 'SET', 'save', '');
    main::ask($disk, 'CONFIG', 'SET', 'dir', $old);
    push @seen, main::works('after');
    push @seen, main::metric('seckill_redis_connects_total') - $connects . ' new connections';
    return main::told(@seen, main::lines('refuses to work: .*MISCONF') . ' line');
}
--- response_body
before: passes
no disk: unavailable
after: passes
0 new connections
1 line
--- error_log: is back



=== TEST 6: a wrong type at the key of the heartbeats drops no connection, and the sale goes on
--- sale
1 153 limit=1000
--- redis
SET seckill::edges something
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my @seen = main::works('without heartbeats');
    # As many heartbeats fail as fit into eight readings of the permits.
    my $reads = sub { redis('INFO', 'commandstats') =~ /cmdstat_hlen:calls=(\d+)/ ? $1 : 0 };
    my $begun = $reads->();
    SeckillTest::eventually(sub { $reads->() >= $begun + 8 });
    push @seen, main::metric('seckill_redis_connects_total') . ' connection';
    return main::told(@seen, main::lines('the heartbeat fails: WRONGTYPE') . ' line');
}
--- response_body
without heartbeats: passes
1 connection
1 line
--- error_log: the heartbeat fails



=== TEST 7: a cluster that is down is away, and comes back
--- http_config eval
our $cluster = main::server('127.0.0.1', main::free_port(), '--cluster-enabled', 'yes');
main::with_redis($cluster->{at})
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- allow_errors
--- response_body_filters eval
sub {
    my $cluster = $Test::Base::Filter::cluster;
    my @seen = 'lines: ' . SeckillTest::eventually(sub { main::lines('refuses to work: .*CLUSTERDOWN') });
    main::ask($cluster, 'CLUSTER', 'ADDSLOTSRANGE', 0, 16383);
    SeckillTest::eventually(sub { main::sell($cluster); 1 });
    push @seen, main::works('up');
    return main::told(@seen);
}
--- response_body
lines: 1
up: passes



=== TEST 8: a server that is loading its file is away until it has loaded it
--- http_config eval
our $loading = main::server('127.0.0.1', main::free_port(), '--appendonly', 'yes');
main::with_redis($loading->{at})
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- allow_errors
--- response_body_filters eval
sub {
    my $old = $Test::Base::Filter::loading;
    main::sell($old);
    my @seen = main::works('before');
    main::ask($old, 'DEBUG', 'POPULATE', 3000);
    main::ask($old, 'BGREWRITEAOF');
    SeckillTest::eventually(sub { main::ask($old, 'INFO', 'persistence') =~ /aof_rewrite_in_progress:0/ && main::ask($old, 'INFO', 'persistence') =~ /aof_rewrite_scheduled:0/ });
    main::end_server($old);
    # Five milliseconds for each key: longer than the permits in the edge's hand last. It
    # says that it is loading once in a kilobyte, not in two megabytes.
    my $new = main::server($$old{address}, $$old{port}, '--appendonly', 'yes', '--key-load-delay', 5000,
        '--loading-process-events-interval-bytes', 1024);
    push @seen, main::fails('loading');
    push @seen, main::works('loaded');
    return main::told(@seen);
}
--- response_body
before: passes
loading: unavailable
loaded: passes
--- error_log eval: qr/is away/



=== TEST 9: Sentinels name the master, and the new one when it dies
--- http_config eval
our ($master, $replica) = map { main::server('127.0.0.1', main::free_port()) } 1 .. 2;
main::sell($master);
main::demote($replica, $master);
main::follows($replica);
our $other_port = main::free_port();
main::sentinel('127.0.0.1', $_, 'shop', $master) for $main::sentinel_port, $other_port;
# A Sentinel that is not there, and two that are.
main::with_redis("127.0.0.1:1 127.0.0.1:$main::sentinel_port 127.0.0.1:$other_port sentinel=shop")
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- allow_errors
--- response_body_filters eval
sub {
    my ($master, $replica) = ($Test::Base::Filter::master, $Test::Base::Filter::replica);
    my @seen = main::works('master');
    my ($sentinel) = { name => 'sentinel', address => '127.0.0.1', port => $main::sentinel_port };
    SeckillTest::eventually(sub { "@{ main::ask($sentinel, 'SENTINEL', 'MASTER', 'shop') }" =~ /num-slaves 1/ }, 30) or push @seen, 'no replica seen';
    main::end_server($master, 'KILL');
    push @seen, SeckillTest::eventually(sub { main::passes() }, 60) ? 'promoted: passes' : 'promoted: never passes';
    push @seen, main::ask($replica, 'ROLE')->[0];
    return main::told(@seen);
}
--- response_body
master: passes
promoted: passes
master



=== TEST 10: a failover while the old master lives is followed, too
--- http_config eval
our ($master2, $replica2, $port2) = (map({ main::server('127.0.0.1', main::free_port()) } 1 .. 2), main::free_port());
main::sell($master2);
main::demote($replica2, $master2);
main::follows($replica2);
main::sentinel('127.0.0.1', $port2, 'shop', $master2);
main::with_redis("127.0.0.1:$port2 sentinel=shop")
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- allow_errors
--- response_body_filters eval
sub {
    my ($master, $replica) = ($Test::Base::Filter::master2, $Test::Base::Filter::replica2);
    my $sentinel = { name => 'sentinel', address => '127.0.0.1', port => $Test::Base::Filter::port2 };
    my @seen = main::works('master');
    SeckillTest::eventually(sub { "@{ main::ask($sentinel, 'SENTINEL', 'MASTER', 'shop') }" =~ /num-slaves 1/ }, 30) or push @seen, 'no replica seen';
    SeckillTest::eventually(sub { main::ask($sentinel, 'SENTINEL', 'FAILOVER', 'shop') }, 30);
    SeckillTest::eventually(sub { main::ask($replica, 'ROLE')->[0] eq 'master' }, 60) or push @seen, 'not promoted';
    push @seen, SeckillTest::eventually(sub { main::passes() }, 60) ? 'promoted: passes' : 'promoted: never passes';
    my $there = SeckillTest::eventually(sub { main::ask($replica, 'CLIENT', 'LIST') =~ /cmd=evalsha/ });
    return main::told(@seen, $there ? 'the edge works there' : 'the edge is elsewhere');
}
--- response_body
master: passes
promoted: passes
the edge works there



=== TEST 11: a name that moves is looked up again, and all its addresses are tried
--- http_config eval
our $home = main::server('127.0.0.2', $main::moving_port);
main::sell($home);
main::with_redis("redis.test:$main::moving_port", "resolver 127.0.0.1:$main::dns_port ipv6=off valid=1s;")
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- allow_errors
--- response_body_filters eval
sub {
    my @seen = main::works('at home');
    main::end_server($Test::Base::Filter::home, 'KILL');
    my $moved = main::server('127.0.0.3', $main::moving_port);
    main::sell($moved);
    # Nobody listens at the first address.
    main::resolve('127.0.0.9', '127.0.0.3');
    push @seen, main::works('moved');
    return main::told(@seen);
}
--- response_body
at home: passes
moved: passes



=== TEST 12: a user of their own, with the password from a file
--- http_config eval
our $locked = main::server('127.0.0.1', $main::login_port);
main::sell($locked);
main::ask($locked, 'ACL', 'SETUSER', 'edge', 'on', '>open sesame', '~seckill::*', '+@read', '+@write', '+@scripting', '+ping', '+time', '+role');
main::ask($locked, 'ACL', 'SETUSER', 'default', 'off');
main::with_redis("$locked->{at} user=edge password_file=" . SeckillRedis::folder() . '/password')
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub { return main::works('logged in') . "\n" }
--- response_body
logged in: passes



=== TEST 13: a password file that others may read
--- http_config eval
open my $f, '>', SeckillRedis::folder() . '/open-password'; print $f "x\n"; close $f;
chmod 0644, SeckillRedis::folder() . '/open-password';
'seckill_zone test:8m; seckill_redis 127.0.0.1:6379 password_file=' . SeckillRedis::folder() . '/open-password;'
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_redis.*open-password.*chmod/]



=== TEST 14: a host that does not exist
--- http_config
    seckill_zone test:8m;
    seckill_redis redis.invalid:6379;
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_redis.*"redis\.invalid:6379" cannot be resolved/]



=== TEST 15: a Redis emptied and filled again while the catalogue is read is read once more
--- http_config eval
our $emptied = main::server('127.0.0.1', main::free_port());
main::sell($emptied);
my $happened = 0;
# The version was read, the products are about to be: both change, and the version is
# the same again a moment later.
our $through = main::relay($emptied, sub {
    my ($bytes) = @_;
    return if $bytes !~ /HGETALL\r\n\$18\r\nseckill::catalogue/ || $happened++;
    main::ask($emptied, 'FLUSHALL');
    fork or do {
        delete $$emptied{connection};
        Time::HiRes::sleep(0.05);
        main::sell($emptied);
        POSIX::_exit(0);
    };
});
main::with_redis($through)
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- allow_errors
--- response_body_filters eval
sub {
    return main::told(main::works('filled again'));
}
--- response_body
filled again: passes



=== TEST 16: one of three Sentinels is not believed; a connection lasts without them
--- http_config eval
our $named = main::server('127.0.0.1', main::free_port());
main::sell($named);
our ($cut_off, $missing) = map { main::free_port() } 1 .. 2;
our @watching = main::sentinel('127.0.0.1', $cut_off, 'shop', $named);
main::with_redis("127.0.0.1:1 127.0.0.1:$cut_off 127.0.0.1:$missing sentinel=shop")
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- allow_errors
--- response_body_filters eval
sub {
    my ($named, $missing, $watching) = ($Test::Base::Filter::named, $Test::Base::Filter::missing, \@Test::Base::Filter::watching);
    my $why = 'cannot be reached: only 1 of 3 Sentinels name a master "shop": 127.0.0.1:1: ';
    my @seen = SeckillTest::eventually(sub { main::lines($why) }) ? 'told' : 'not told';
    push @seen, main::fails('one');
    push @seen, main::lines('redis at') . ' line';
    push @$watching, main::sentinel('127.0.0.1', $missing, 'shop', $named);
    push @seen, main::works('two');
    my $connects = main::metric('seckill_redis_connects_total');
    main::end_server($$watching[0], 'KILL');
    # With a connection each time.
    my $asked = sub { main::ask($$watching[1], 'INFO', 'stats') =~ /total_connections_received:(\d+)/ ? $1 : 0 };
    my $begun = $asked->();
    SeckillTest::eventually(sub { $asked->() >= $begun + 2 }) or push @seen, 'not asked any more';
    push @seen, main::works('connected');
    push @seen, main::metric('seckill_redis_connects_total') - $connects . ' new connections';
    return main::told(@seen);
}
--- response_body
told
one: unavailable
1 line
two: passes
connected: passes
0 new connections
