use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(status_of);
use SeckillServers qw(free_port server end_server ask sell certificates);
use SeckillRedis qw(folder);

# Redis over TLS: whom the edge trusts, and by what the server knows the edge.

our $gate = gate_location() . ' location = /metrics { seckill_status; }';

# The default configuration with another seckill_redis.
sub with_redis {
    my ($arguments) = @_;
    my $config = http_config();
    $config =~ s/seckill_redis [^;]+;/seckill_redis $arguments timeout=$SeckillTest::redis_timeout;/;
    return $config;
}

our $buyers = 0;
sub works { my ($what) = @_; (eventually { status_of('buyer' . ++$buyers) == 202 }) ? "$what: passes" : "$what: never passes" }
sub fails { my ($what) = @_; (eventually { status_of('buyer' . ++$buyers) == 503 }) ? "$what: unavailable" : "$what: not noticed" }

sub lines {
    my ($pattern) = @_;
    open my $in, '<', "$ENV{TEST_NGINX_SERVROOT}/logs/error.log" or return 0;
    return scalar grep {/$pattern/} <$in>;
}

our $tls = certificates(folder() . '/tls');
our ($tls_port, $mutual_port, $foreign_port, $closed_port) = map { free_port() } 1 .. 4;
our @tls = ('--tls-cert-file', "$tls/server.pem", '--tls-key-file', "$tls/server.key", '--tls-ca-cert-file', "$tls/ca.pem");

run_tests();

__DATA__

=== TEST 1: TLS, with the authority that the directive names
--- http_config eval
our $secure = main::server('127.0.0.1', main::free_port(), '--tls-port', $main::tls_port, @main::tls, '--tls-auth-clients', 'no');
SeckillTest::eventually(sub { main::sell($secure); 1 });
main::with_redis("127.0.0.1:$main::tls_port tls=on ca=$main::tls/ca.pem")
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my $result = main::works('over TLS');
    main::end_server($Test::Base::Filter::secure);
    return "$result\n";
}
--- response_body
over TLS: passes
--- allow_errors



=== TEST 2: TLS that wants to know the edge, too
--- http_config eval
our $mutual = main::server('127.0.0.1', main::free_port(), '--tls-port', $main::mutual_port, @main::tls);
SeckillTest::eventually(sub { main::sell($mutual); 1 });
my $t = $main::tls;
main::with_redis("127.0.0.1:$main::mutual_port tls=on ca=$t/ca.pem cert=$t/client.pem key=$t/client.key tls_name=redis.internal")
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my $result = main::works('known by certificate');
    main::end_server($Test::Base::Filter::mutual);
    return "$result\n";
}
--- response_body
known by certificate: passes
--- allow_errors



=== TEST 3: a certificate of somebody else is refused, and the log says where to look
--- http_config eval
our $foreign = main::server('127.0.0.1', main::free_port(), '--tls-port', $main::foreign_port, @main::tls, '--tls-auth-clients', 'no');
SeckillTest::eventually(sub { main::sell($foreign); 1 });
main::with_redis("127.0.0.1:$main::foreign_port tls=on ca=$main::tls/client.pem")
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my $result = main::fails('not trusted');
    SeckillTest::eventually(sub { main::lines('cannot be reached') });
    main::end_server($Test::Base::Filter::foreign);
    return "$result\n";
}
--- response_body
not trusted: unavailable
--- error_log eval: qr/cannot be reached: .*TLS: invalid peer certificate.*see ca=/



=== TEST 4: an edge without a certificate, where the server wants one, is told what is missing
--- http_config eval
our $closed = main::server('127.0.0.1', main::free_port(), '--tls-port', $main::closed_port, @main::tls);
SeckillTest::eventually(sub { main::sell($closed); 1 });
main::with_redis("127.0.0.1:$main::closed_port tls=on ca=$main::tls/ca.pem tls_name=redis.internal")
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my $result = main::fails('not known');
    SeckillTest::eventually(sub { main::lines('CertificateRequired') });
    main::end_server($Test::Base::Filter::closed);
    return "$result\n";
}
--- response_body
not known: unavailable
--- error_log eval: qr/CertificateRequired; see cert= and key=/
