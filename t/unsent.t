use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(click answer);
use SeckillServers qw(free_port);
use IO::Socket::INET;

# "Processing" is told of a purchase that may have been made, and of no other: who hears it
# waits half a minute for a result.
our $gate = gate_location();

# What the suites need in http{}, with these servers as the purchase roles.
sub roles {
    my ($servers) = @_;
    (my $config = http_config()) =~ s/upstream seckill_purchase \{[^}]*\}/upstream seckill_purchase { $servers }/
        or die "the upstream of the suites has changed\n";
    return $config;
}

sub closed { return 'server 127.0.0.1:' . free_port() . ';' }

# A port that is full, so that a connection to it neither begins nor fails.
our ($full, @crowd);
sub full {
    $full = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => 0) or die "cannot listen: $!\n";
    for (1 .. 8) {
        my $one = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $full->sockport, Blocking => 0);
        push @crowd, $one if $one;
    }
    return 'server 127.0.0.1:' . $full->sockport . ';';
}

sub told { return join ' ', answer($_[0]) =~ m{^HTTP/1\.1 (\d+).*?\r\n\r\n.*?"(?:code|status)":"(\w+)"}s }

run_tests();

__DATA__

=== TEST 1: none of several purchase roles runs
--- sale
1 153 limit=5
--- http_config eval: main::roles(main::closed() . main::closed() . main::closed())
--- config eval: $::gate
--- allow_errors
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub { return main::told(main::click('li')) . "\n" }
--- response_body
503 unavailable



=== TEST 2: a connection fails that nginx had to wait for
--- sale
1 153 limit=5
--- http_config eval: main::roles(main::full())
--- config eval: $::gate
--- allow_errors
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my $click = main::click('li');
    my $port = sprintf '%04X', $::full->sockport;
    # Until nginx has begun to connect; the state of a connection that is being made is 02.
    SeckillTest::eventually(sub { open my $in, '<', '/proc/net/tcp' or die; grep { /:$port 02 / } <$in> });
    # The next attempt of the system meets a port that is closed.
    close $_ for @::crowd;
    close $::full;
    return main::told($click) . "\n";
}
--- response_body
503 unavailable



=== TEST 3: a purchase role ends in the middle of a request
--- sale
1 153 limit=5
--- http_config eval
main::roles('server unix:' . backend_socket() . ';') =~ s{add_header X-Seckill-Outcome used always;\s*return 202 [^;]*;}{return 444;}r
--- config eval: $::gate
--- allow_errors
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub { return main::told(main::click('li')) . "\n" }
--- response_body
202 processing
