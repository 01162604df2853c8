use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(answer metric log_has);
use IO::Socket::INET;
use Time::HiRes qw(time);

our $gate = gate_location() . ' location = /metrics { seckill_status; } location ~ /path$ { seckill_path; }';
# As conf/nginx.conf shows it: the proxy in front says who the shopper is.
our $realip = 'set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;';

# The list, written as lua/bans/ documents it. The scripts themselves are tested
# with the back end; here every edge has to follow what is in Redis.
my ($add, $lift);

sub script {
    my ($name) = @_;
    my ($root) = $FindBin::RealBin =~ m{^(.*)/t$};
    open my $in, '<', "$root/lua/bans/$name.lua" or die "lua/bans/$name.lua: $!";
    local $/;
    return scalar <$in>;
}
our @keys = map {"seckill::{bans}::$_"} qw(list expiring changes version);

sub ban {
    my ($ban, $seconds) = @_;
    my $expires = $seconds ? now_ms() + $seconds * 1000 : 0;
    $add //= script('add');
    redis('EVAL', $add, 4, @keys, $ban, $expires, "$expires|" . now_ms() . '|ops|test', now_ms(), 1000);
}

sub lift {
    $lift //= script('lift');
    redis('EVAL', $lift, 4, @keys, shift, 1000);
}

# One click on product 153: its status and code. A proxy reports
# $from as the address.
sub click {
    my ($user, $from) = @_;
    my $edge = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $ENV{TEST_NGINX_SERVER_PORT}) or return 0;
    my @lines = ('POST ' . hidden_path($user, '1', '153') . ' HTTP/1.1', 'Host: shop', cookie($user));
    push @lines, "X-Forwarded-For: $from" if $from;
    print $edge join "\r\n", @lines, 'Connection: close', '', '';
    my $answer = answer($edge);
    return join ' ', ($answer =~ m{^HTTP/1\.1 (\d+)})[0] // 0, $answer =~ /"code":"(\w+)"/;
}

my $visitor = 0;
sub fresh { 'visitor' . ++$visitor }

# Clicks until a response is as expected, for some seconds; returns it, and says so
# if it took more than a second or never came.
sub soon {
    my ($expected, $click) = @_;
    my ($begun, $said) = (time);
    SeckillTest::eventually(sub { ($said = $click->()) eq $expected });
    # Valgrind takes thirty times as long for everything.
    my $limit = $ENV{TEST_NGINX_USE_VALGRIND} ? 10 : 1;
    return $said ne $expected ? "$said for ever" : time - $begun < $limit ? $expected : "$expected, too late";
}

# The nth of the million addresses that a block below bans.
sub nth {
    my ($n) = @_;
    return join '.', $n % 200 + 20, int($n / 200) % 250, int $n / 50_000, $n % 7;
}

# What a block saw, as one line.
sub summary { return join(', ', @_) . "\n" }

run_tests();

__DATA__

=== TEST 1: a banned user is refused, others are not
--- sale
1 153 limit=10
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    main::ban('user:eve');
    my $eve = main::soon('403 blocked', sub { main::click('eve') });
    return main::summary($eve, main::click('li'));
}
--- response_body
403 blocked, 202



=== TEST 2: a ban made before nginx started holds from the first request on
--- sale
1 153 limit=10
--- redis
HSET seckill::{bans}::list user:eve 0|1|ops|test
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('eve', '1', '153')
--- more_headers eval: cookie('eve')
--- error_code: 403
--- response_body_like: "code":"blocked"



=== TEST 3: addresses and networks of both families, through a trusted proxy
--- sale
1 153 limit=1000
--- config eval: $::realip . $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    main::ban($_) for 'address:203.0.113.7/32', 'address:198.51.100.0/25', 'address:2001:db8::/33', 'address:2001:db9::7/128';
    main::soon('403 blocked', sub { main::click(main::fresh(), '2001:db9::7') });
    my @banned = qw(203.0.113.7 198.51.100.0 198.51.100.127 2001:db8::1 2001:db8:7fff:ffff::1 2001:db9::7 ::ffff:203.0.113.7);
    my @free   = qw(203.0.113.8 198.51.100.128 2001:db8:8000::1 2001:db9::8 ::ffff:203.0.113.8);
    my @wrong;
    main::click(main::fresh(), $_) eq '403 blocked' or push @wrong, "$_ passes" for @banned;
    main::click(main::fresh(), $_) eq '202' or push @wrong, "$_ is refused" for @free;
    return "wrong: @wrong\n";
}
--- response_body
wrong: 



=== TEST 4: a client that is not a trusted proxy cannot choose its address
--- sale
1 153 limit=10000
--- config eval: 'set_real_ip_from 192.0.2.1; real_ip_header X-Forwarded-For;' . $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    main::ban('address:203.0.113.7/32');
    main::ban('user:marker');
    main::soon('403 blocked', sub { main::click('marker') });
    my $forged = main::click('li', '203.0.113.7');
    main::ban('address:127.0.0.0/8');
    my $own = main::soon('403 blocked', sub { main::click(main::fresh(), '192.0.2.77') });
    return "$forged, $own\n";
}
--- response_body
202, 403 blocked



=== TEST 5: lifted within a second
--- sale
1 153 limit=100
--- redis
HSET seckill::{bans}::list user:eve 0|1|ops|test
HSET seckill::{bans}::list address:127.0.0.1/32 9999999999999|1|ops|test
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my $before = main::click('li');
    main::lift('address:127.0.0.1/32');
    my $li = main::soon('202', sub { main::click('li') });
    my $still = main::click('eve');
    main::lift('user:eve');
    my $eve = main::soon('202', sub { main::click('eve') });
    return "$before, $li; $still, $eve\n";
}
--- response_body
403 blocked, 202; 403 blocked, 202



=== TEST 6: a ban ends by itself, on time, also while Redis is away
--- sale
1 153 limit=100
--- config eval: $::gate
--- allow_errors
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    main::ban('user:eve', 5);
    my $ends = now_ms() + 5_000;
    # Mirrored after eve, so that this ban is known without a click of eve's.
    main::ban('user:marker');
    main::soon('403 blocked', sub { main::click('marker') });
    my $banned = main::click('eve');
    redis_stop();
    my $said = $banned;
    SeckillTest::eventually(sub { ($said = main::click('eve')) ne '403 blocked' });
    my $late = now_ms() - $ends;
    redis_start();
    my $when = $late < -50 ? 'early' : $late < 1_500 ? 'on time' : "late by $late ms";
    # Without Redis there is no permit, but no ban either.
    return "$banned; $said, $when\n";
}
--- response_body
403 blocked; 503 unavailable, on time



=== TEST 7: bans stay in force while Redis is away and after it returns
--- sale
1 153 limit=100
--- config eval: $::gate
--- allow_errors
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    main::ban('user:eve');
    my @said = main::soon('403 blocked', sub { main::click('eve') });
    redis_stop();
    SeckillTest::eventually(sub { log_has('error.log', 'is away') });
    push @said, main::click('eve');
    redis_start();
    push @said, main::soon('202', sub { main::click(main::fresh()) }) =~ s/, too late//r, main::click('eve');
    return main::summary(@said);
}
--- response_body
403 blocked, 403 blocked, 202, 403 blocked



=== TEST 8: a reload keeps the bans at every moment
--- sale
1 153 limit=100
--- redis
HSET seckill::{bans}::list user:eve 0|1|ops|test
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my $master = SeckillClick::edge_pid();
    my ($old) = split ' ', `pgrep -P $master`;
    my %said = (main::click('eve') => 1);
    SeckillClick::reload();
    SeckillTest::eventually(sub {
        $said{main::click('eve')}++;
        my @now = split ' ', `pgrep -P $master`;
        @now && !grep { $_ == $old } @now;
    }, 30) or return "not reloaded\n";
    $said{main::click('eve')}++ for 1 .. 50;
    main::lift('user:eve');
    my $lifted = main::soon('202', sub { main::click('eve') });
    return main::summary(sort(keys %said), $lifted);
}
--- response_body
403 blocked, 202



=== TEST 9: an entry that is no ban is skipped, counted, and logged once with its text
--- sale
1 153 limit=100
--- redis
HSET seckill::{bans}::list address:300.1.1.1 0|1|ops|x
HSET seckill::{bans}::list nonsense 0|1|ops|x
HSET seckill::{bans}::list user:mallory soon
HSET seckill::{bans}::list user:eve 0|1|ops|x
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my @said = (main::click('eve'), main::click('mallory'), map { main::metric("seckill_$_") } qw(bans bans_skipped bans_unmirrored));
    # Read again, because the version was changed by hand: not logged again.
    redis('SET', $main::keys[3], 'by hand');
    redis('HSET', $main::keys[0], 'user:oscar' => '0|1|ops|x');
    redis('SET', $main::keys[3], 'by hand again');
    push @said, main::soon('403 blocked', sub { main::click('oscar') });
    for my $text ('300.1.1.1', 'nonsense', 'mallory') {
        open my $log, '<', "$ENV{TEST_NGINX_SERVROOT}/logs/error.log";
        push @said, scalar grep {/\[warn\].*$text/} <$log>;
    }
    return main::summary(@said);
}
--- response_body
403 blocked, 202, 1, 3, 0, 403 blocked, 1, 1, 1
--- error_log: "300.1.1.1" is neither an address nor a network



=== TEST 10: a ban removed from the list by hand is lifted once the version changes
--- sale
1 153 limit=100
--- redis
HSET seckill::{bans}::list user:eve 0|1|ops|test
HSET seckill::{bans}::list user:oscar 0|1|ops|test
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    redis('HDEL', $main::keys[0], 'user:eve');
    redis('SET', $main::keys[3], 'edited');
    return main::summary(main::soon('202', sub { main::click('eve') }), main::click('oscar'));
}
--- response_body
202, 403 blocked



=== TEST 11: more changes than the stream keeps: nothing is missed
--- sale
1 153 limit=100
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    main::ban('user:first');
    main::soon('403 blocked', sub { main::click('first') });
    main::ban("user:many$_") for 1 .. 300;
    redis('XTRIM', $main::keys[2], 'MAXLEN', 10);
    return main::summary(map { my $user = $_; main::soon('403 blocked', sub { main::click($user) }) } qw(many300 many1 many150 first));
}
--- response_body
403 blocked, 403 blocked, 403 blocked, 403 blocked



=== TEST 12: a ban is checked after the session, and before window, second click and rate
--- sale
1 153 limit=10
1 154 opens=+30s ends=+1h
--- redis
HSET seckill::{bans}::list user:eve 0|1|ops|test
--- config eval: $::gate
--- pipelined_requests eval
['POST ' . hidden_path('li', '1', '153'), 'POST ' . hidden_path('eve', '1', '153', expires => now_ms() - 1),
 'POST ' . hidden_path('eve', '1', '153'), 'POST ' . hidden_path('eve', '1', '154'), 'POST ' . hidden_path('eve', '1', '999')]
--- more_headers eval: [cookie('eve'), cookie('eve'), '', cookie('eve'), cookie('eve')]
--- error_code eval: [403, 403, 401, 403, 403]
--- response_body_like eval: [map {qr/"code":"$_"/} qw(bad_signature expired login_required blocked blocked)]



=== TEST 13: a banned buyer gets no purchase URL
--- sale
1 153 limit=10
--- redis
HSET seckill::{bans}::list user:eve 0|1|ops|test
--- config eval: $::gate
--- pipelined_requests eval: [('GET /api/rounds/1/products/153/path') x 2]
--- more_headers eval: [cookie('eve'), cookie('li')]
--- error_code eval: [403, 200]
--- response_body_like eval: [qr/"code":"blocked"/, qr/"path":/]



=== TEST 14: a list of another type: nobody is admitted by a guess, and the log says why
--- sale
1 153 limit=10
--- redis
SET seckill::{bans}::list text
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my $closed = main::click('li');
    redis('DEL', $main::keys[0]);
    my $open = main::soon('202', sub { main::click('li') });
    return "$closed, $open\n";
}
--- response_body
503 unavailable, 202
--- error_log: the bans cannot be read



=== TEST 15: a zone with no room for all bans: none of the banned passes, and the log says how large it must be
--- sale
1 153 limit=10000
--- redis
EVAL for--[[]]n=1,60000--[[]]do--[[]]redis.call("HSET",KEYS[1],"user:bot"..n,"0|1|ops|x")--[[]]end 1 seckill::{bans}::list
--- http_config eval: http_config() =~ s/seckill_zone test:8m/seckill_zone test:2m/r
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    SeckillTest::eventually(sub { log_has('error.log', 'no room for all bans') }, 30);
    my (%banned, %free);
    $banned{main::click('bot' . int(1 + rand 60_000))}++ for 1 .. 300;
    $free{main::click(main::fresh())}++ for 1 .. 300;
    my $unmirrored = main::metric('seckill_bans_unmirrored');
    # A lifted ban makes room for others, and at last all fit.
    my $passes = delete $free{202} // 0;
    return main::summary(sort(keys %banned), sort(keys %free), $passes >= 100 ? 'others pass' : "only $passes of others pass",
        $unmirrored > 10_000 && $unmirrored < 40_000 ? 'counted' : "unmirrored: $unmirrored");
}
--- response_body
403 blocked, 503 unavailable, 503 unavailable, others pass, counted
--- error_log eval: qr/the zone of 2 MiB has no room for all bans: .*make seckill_zone at least [4-6]m/



=== TEST 16: a million bans, and the zone says 64m
--- sale
1 153 limit=1000
--- redis
EVAL for--[[]]n=1,1000000--[[]]do--[[]]redis.call("HSET",KEYS[1],"address:"..(n%200+20).."."..(math.floor(n/200)%250).."."..math.floor(n/50000).."."..n%7,"0|1|ops|x")--[[]]end 1 seckill::{bans}::list
HSET seckill::{bans}::list user:eve 0|1|ops|x address:9.9.9.0/24 0|1|ops|x
XADD seckill::{bans}::changes 1-1 ban user:eve value 0|1|ops|x
SET seckill::{bans}::version 1-1
--- http_config eval: http_config() =~ s/seckill_zone test:8m/seckill_zone test:64m/r
--- config eval: $::realip . $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    # Nobody is admitted before all bans are known.
    my (%early, $begun);
    $begun = time;
    SeckillTest::eventually(sub { my $said = main::click('eve'); $early{$said}++; $said eq '403 blocked' }, 30);
    delete @early{'503 unavailable', '403 blocked'};
    SeckillTest::eventually(sub { main::click(main::fresh()) eq '202' }, 30);
    my $took = time - $begun;
    my $all = redis('HLEN', $main::keys[0]) == main::metric('seckill_bans') ? 'all' : main::metric('seckill_bans');
    my %seen = (banned => {}, free => {});
    for (1 .. 300) {
        my $address = main::nth(1 + int rand 1_000_000);
        $seen{banned}{main::click(main::fresh(), $address)}++;
        $seen{free}{main::click(main::fresh(), $address =~ s/^\d+/2/r)}++;
    }
    main::ban('user:late');
    return main::summary($all, keys %{$seen{banned}}, keys %{$seen{free}}, main::soon('403 blocked', sub { main::click('late') }),
        keys %early, $took < ($ENV{TEST_NGINX_USE_VALGRIND} ? 120 : 20) ? 'in time' : "$took s");
}
--- response_body
all, 403 blocked, 202, 403 blocked, in time
