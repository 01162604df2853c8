use lib 't/lib';
use SeckillTest 'no_plan';
use POSIX ();
use SeckillClick qw(metric);

# nginx's own leaky bucket for each address, before the gate, and the module's
# token bucket for all of them together, after it. Requests from this machine
# are not limited by address, so that these come from elsewhere, by the word of a
# proxy on this machine.
our $shop = gate_location('seckill_rate rate=1r/s burst=210;') . ' location = /metrics { seckill_status; }';
our $from = 'set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;';

# Sends these requests at once over one connection, so that a slow machine sends them
# as quickly as a quick one: their statuses, counted, and the last body of each.
sub storm_of {
    my (@requests) = @_;
    my $edge = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $ENV{TEST_NGINX_SERVER_PORT}) or die $!;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        print $edge $_, "\r\n\r\n" for @requests;
        $edge->flush;
        POSIX::_exit(0);
    }
    my ($text, %count, %last) = SeckillClick::answer($edge);
    waitpid $pid, 0;
    for my $response (split m{^(?=HTTP/1\.1 \d)}m, $text) {
        my ($status) = $response =~ m{^HTTP/1\.1 (\d+)} or next;
        $count{$status}++;
        $last{$status} = $response;
    }
    return (\%count, \%last);
}

# $n purchases by different buyers, from $address, which may be a function of the buyer's
# number.
sub storm {
    my ($n, $address) = @_;
    my @requests = map {
        my $address = ref $address ? $address->($_) : $address;
        my $user = ($address =~ tr/0-9a-f//cdr) . "-$_";
        CORE::join "\r\n", 'POST ' . hidden_path($user, '1', '153') . ' HTTP/1.1', 'Host: shop', "X-Real-IP: $address",
            cookie($user), $_ == $n ? 'Connection: close' : ();
    } 1 .. $n;
    return storm_of(@requests);
}

run_tests();

__DATA__

=== TEST 1: one address is refused before the gate, in the same form
--- sale
1 153 limit=1000
--- http_config eval: http_config($::from)
--- config eval: gate_location() . ' location = /metrics { seckill_status; }'
--- request: GET /metrics
--- response_body_filters eval
sub {
    my ($count, $last) = main::storm(400, '203.0.113.7');
    my $refused = $last->{429} // '';
    my $words = $refused =~ /"code":"busy"/ && $refused =~ /^Retry-After: 1\r$/m
        && $refused =~ m{^Content-Type: application/json\r$}m ? 'busy' : $refused;
    my $counted = main::metric('seckill_admitted_total') == $count->{202} ? 'the gate saw the rest' : 'the gate saw others';
    return ($count->{202} >= 200 && $count->{429} >= 1 ? "refused as $words, $counted\n" : "202 x $count->{202}\n");
}
--- response_body
refused as busy, the gate saw the rest



=== TEST 2: another address is not, until all together are over the rate
--- sale
1 153 limit=1000
--- http_config eval: http_config($::from)
--- config eval: $::shop
--- request: GET /metrics
--- response_body_filters eval
sub {
    my ($one) = main::storm(150, '203.0.113.7');
    my ($two, $last) = main::storm(150, '2001:db8::8');
    my $passed = $two->{202};
    my $words  = $last->{429} =~ /"code":"busy"/ ? 'busy' : $last->{429};
    my $by_gate = SeckillClick::get('/metrics') =~ /^seckill_refused_total\{code="busy"\} (\d+)$/m ? $1 : 0;
    return "150 = $one->{202}, then "
        . ($passed >= 60 && $passed <= 80 ? 'the rest of the burst' : $passed)
        . ", refused as $words by the " . ($by_gate == 150 - $passed ? "gate\n" : "address limit\n");
}
--- response_body
150 = 150, then the rest of the burst, refused as busy by the gate



=== TEST 3: this machine's own requests are not limited by address
--- sale
1 153 limit=1000
--- config eval: gate_location() . ' location = /metrics { seckill_status; }'
--- request: GET /metrics
--- response_body_filters eval
sub { my ($count) = main::storm(400, '203.0.113.7'); return "202 x $count->{202}\n" }
--- response_body
202 x 400



=== TEST 4: a network of IPv6 is one sender, and the next one is another
--- sale
1 153 limit=2000
--- http_config eval: http_config($::from)
--- config eval: gate_location() . ' location = /metrics { seckill_status; }'
--- request: GET /metrics
--- response_body_filters eval
sub {
    my ($one) = main::storm(400, sub { sprintf '2001:db8:1:2:%x::1', $_[0] });
    my ($other) = main::storm(20, sub { sprintf '2001:db8:1:3:%x::1', $_[0] });
    return ($one->{202} >= 200 && $one->{429} >= 1 ? 'limited together' : "202 x $one->{202}") . ", the next one 202 x $other->{202}\n";
}
--- response_body
limited together, the next one 202 x 20



=== TEST 5: addresses of IPv4 written as IPv6 are senders of their own
--- sale
1 153 limit=2000
--- http_config eval: http_config($::from)
--- config eval: gate_location() . ' location = /metrics { seckill_status; }'
--- request: GET /metrics
--- response_body_filters eval
sub {
    my ($one) = main::storm(300, sub { sprintf '::ffff:203.0.%d.%d', 113 + $_[0] / 200, 1 + $_[0] % 200 });
    return "202 x $one->{202}\n";
}
--- response_body
202 x 300



=== TEST 6: shoppers over a unix socket are not one sender
--- sale
1 153 limit=2000
--- http_config eval
our $door = SeckillRedis::folder() . '/door.sock';
http_config("server { listen unix:$door; " . gate_location() . '}')
--- config: location = /metrics { seckill_status; }
--- request: GET /metrics
--- response_body_filters eval
sub {
    my %count;
    for my $n (1 .. 400) {
        my $edge = IO::Socket::UNIX->new(Peer => $Test::Base::Filter::door) or die $!;
        my ($path, $cookie) = (hidden_path("buyer$n", '1', '153'), cookie("buyer$n"));
        print $edge "POST $path HTTP/1.1\r\nHost: shop\r\n$cookie\r\nConnection: close\r\n\r\n";
        $count{SeckillClick::answer($edge) =~ m{^HTTP/1\.1 (\d+)} ? $1 : 0}++;
    }
    return CORE::join(' ', map {"$_ x $count{$_}"} sort keys %count) . "\n";
}
--- response_body
202 x 400



=== TEST 7: what the database serves is limited, and the provider's notices are not
--- only: module
--- sale
1 153 limit=5
--- http_config eval
our $files = $ENV{TEST_NGINX_SERVROOT};
http_config($::from . ' upstream seckill_ops { server unix:' . backend_socket() . '; }')
--- config eval
(my $server = SeckillTest::shipped('server.conf')) =~ s/^location \/ \{.*?^\}//ms;
"set \$seckill_static $Test::Base::Filter::files; set \$seckill_pages $Test::Base::Filter::files;\n$server"
--- request: GET /metrics
--- response_body_filters eval
sub {
    my ($last, @seen) = (0);
    for my $path ('/api/rounds/1/products/153/result', '/api/orders?page=7', '/api/orders/1', '/api/session', '/api/rounds', '/api/payments/stripe') {
        my $address = '203.0.113.' . ++$last;
        my $request = CORE::join "\r\n", "GET $path HTTP/1.1", 'Host: shop', "X-Real-IP: $address";
        my ($count, $text) = main::storm_of(($request) x 799, "$request\r\nConnection: close");
        my $is_busy = ($text->{429} // '') =~ /^Retry-After: 1\r$/m && $text->{429} =~ /\{"code":"busy"/;
        push @seen, "$path " . ($count->{202} >= 400 && $is_busy ? 'limited' : CORE::join ' ', map {"$_ x $count->{$_}"} sort keys %$count);
    }
    return CORE::join "\n", @seen, '';
}
--- response_body
/api/rounds/1/products/153/result limited
/api/orders?page=7 limited
/api/orders/1 limited
/api/session limited
/api/rounds limited
/api/payments/stripe 202 x 800
