# HTTP/3, where this nginx and this curl have it: Debian 13's do, Debian 12's do not.
use lib 't/lib';

BEGIN {
    my $nginx = $ENV{TEST_NGINX_BINARY} || '/usr/sbin/nginx';
    my %has   = (
        $nginx => scalar(`$nginx -V 2>&1` =~ /--with-http_v3_module/),
        curl   => scalar(`curl -V 2>&1` =~ /\bHTTP3\b/),
    );
    if (my ($lacks) = sort grep { !$has{$_} } keys %has) {
        print "1..0 # SKIP $lacks has no HTTP/3 here\n";
        exit;
    }
}

use SeckillTest 'no_plan';
use SeckillClick qw(metric);
use SeckillRedis ();
use SeckillServers ();
use Time::HiRes ();

our $server = gate_location() . ' location = /metrics { seckill_status; } location = /api/time { seckill_time; }';
our $port   = SeckillServers::free_port();
our $http3  = do {
    my $tls   = SeckillServers::certificates(SeckillRedis::folder() . '/tls');
    my $serve = "server { listen 127.0.0.1:$port quic; ssl_certificate $tls/server.pem; ssl_certificate_key $tls/server.key; $server }";
    # Long enough that a slow machine does not run into the deadline first.
    (my $config = http_config($serve)) =~ s{(seckill_redis \S+) timeout=\w+}{$1 timeout=20s};
    $config;
};

# The arguments by which curl clicks for a buyer.
sub click_of {
    my ($buyer, @more) = @_;
    return ('-X', 'POST', '-H', 'Cookie: seckill_session=' . SeckillSign::session($buyer), @more,
        '-o', "@{[SeckillRedis::folder()]}/answer-$buyer", '-w', '%{http_version} %{http_code}\n',
        "https://127.0.0.1:$port" . hidden_path($buyer, '1', '153'));
}

# Starts a curl with these requests, all at once; a handle on what it prints.
sub curl {
    my (@requests) = @_;
    my @all;
    push @all, @all ? '--next' : (), '--http3-only', '-ks', @$_ for @requests;
    # In parallel, curl does not keep to a transfer's longest time.
    open my $out, '-|', 'curl', @requests > 1 ? '--parallel' : (), @all or die "curl: $!\n";
    return $out;
}

# "3 202 x 5, 3 410 x 3": versions and statuses.
sub summary {
    my (@outs) = @_;
    my %count;
    for my $out (@outs) {
        while (my $line = <$out>) { chomp $line; $count{$line}++ }
        close $out;
    }
    return CORE::join ', ', map {"$_ x $count{$_}"} sort keys %count;
}

sub permits { (redis('GET', 'seckill::{1::153}::permits') // 0) . ' permits, ' . redis('HLEN', 'seckill::{1::153}::leases') . ' leases' }

run_tests();

__DATA__

=== TEST 1: many streams at once: exactly as many are admitted as there are permits
--- sale
1 153 limit=10
--- http_config eval: $::http3
--- config eval: $::server
--- error_log: is near the
--- no_error_log
[error]
[crit]
[alert]
[emerg]
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $said = main::summary(main::curl(map { [main::click_of("buyer$_")] } 1 .. 30));
    my ($won) = $said =~ /^3 202 x (\d+)(?:, 3 4(?:10|29) x \d+)+$/ or return "$said\n";
    return "$won won, " . main::permits() . "\n";
}
--- response_body
10 won, 10 permits, 0 leases



=== TEST 2: an empty purchase, with its length and without
--- sale
1 153 limit=10
--- http_config eval: $::http3
--- config eval: $::server
--- error_log: is near the
--- no_error_log
[error]
[crit]
[alert]
[emerg]
--- request: GET /metrics
--- response_body_filters eval
sub { main::summary(main::curl([main::click_of('without')], [main::click_of('with', '-H', 'Content-Length: 0')], [main::click_of('data', '--data', '')])) . "\n" }
--- response_body
3 202 x 3



=== TEST 3: clicks of a client that leaves while they wait for Redis use no permit
--- sale
1 153 limit=10
--- http_config eval: $::http3
--- config eval: $::server
--- error_log: is near the
--- no_error_log
[error]
[crit]
[alert]
[emerg]
--- request: GET /metrics
--- response_body_filters eval
sub {
    my ($n, $parked, $said) = (0);
    # They leave before Redis counts as away, which a slow machine does not manage at once.
    SeckillTest::eventually(sub {
        $n++;
        redis_freeze();
        my @leaving = map { main::curl([main::click_of("gone$n-$_", '--max-time', 0.8)]) } 1 .. 4;
        for (1 .. 100) {
            last if $parked = main::metric('seckill_parked') == 4;
            Time::HiRes::sleep(0.01);
        }
        $said = main::summary(@leaving);
        redis_thaw();
        $parked && $said eq '0 000 x 4';
    });
    my $left = SeckillTest::eventually(sub { main::metric('seckill_parked') == 0 }) ? 'gone' : 'still parked';
    my $later;
    SeckillTest::eventually(sub { ($later = main::summary(main::curl([main::click_of('later')]))) !~ / 503 / });
    SeckillTest::eventually(sub { main::permits() eq '1 permits, 0 leases' });
    return ($parked ? 'parked' : 'not parked') . ", $said, $left, $later, " . main::permits() . "\n";
}
--- response_body
parked, 0 000 x 4, gone, 3 202 x 1, 1 permits, 0 leases
