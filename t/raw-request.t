use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(post answer metric);
use SeckillEdge;

# What two servers could read differently is refused before a permit is spent; what does
# not concern the sale never matters, whatever bytes it holds.
our $gate = gate_location() . ' location = /metrics { seckill_status; }';

sub permits { redis('GET', 'seckill::{1::153}::permits') // 0 }

# The status and code of a request for buyer li, whose path is changed by $change, with
# these header lines beside the cookie.
sub told {
    my ($change, @headers) = @_;
    my $path = hidden_path('li', '1', '153');
    $path = $change->($path) if $change;
    unshift @headers, cookie('li') unless grep {/^Cookie:.*seckill_session/} @headers;
    my ($status, $body) = answer(post($path, @headers)) =~ m{^HTTP/1\.1 (\d+).*?\r\n\r\n(.*)}s or return 'nothing';
    return $status . ($body =~ /"code":"(\w+)"/ ? " $1" : '');
}

run_tests();

__DATA__

=== TEST 1: a path that the back end would read otherwise spends no permit
--- only: module
--- sale
1 153 limit=5
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my @told;
    for my $change (
        sub { $_[0] =~ s{^/buy/}{//buy/}r }, sub { $_[0] =~ s{^/buy/}{/buy//}r },
        sub { $_[0] =~ s{^/buy/}{/buy/./}r }, sub { $_[0] =~ s{^/buy/}{/x/../buy/}r },
        sub { $_[0] =~ s{/153/}{/15%33/}r }, sub { $_[0] =~ s{^/buy/}{/b%75y/}r },
        sub { "$_[0]#part" }, sub { "$_[0]/." }, sub { "$_[0]?quantity=1&<x>" }, sub { "$_[0]?note=\xe9" },
        sub { "$_[0]?quantity=1#x" }, sub { "$_[0]?quantity=1#\xe9" },
    ) {
        push @told, main::told($change);
    }
    return CORE::join(', ', @told) . ', permits ' . main::permits() . "\n";
}
--- response_body eval: CORE::join(', ', ('400 bad_request') x 12) . ", permits 0\n"



=== TEST 2: the absolute form of a request line names the same path
--- sale
1 153 limit=5
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub { return main::told(sub {"http://shop$_[0]"}) . "\n" }
--- response_body
202



=== TEST 3: a location that rewrites decides by what the back end gets
--- sale
1 153 limit=5
--- config eval: "$::gate " . 'location /shop/ { rewrite ^/shop(/buy/.*)$ $1 last; }'
--- request: GET /metrics
--- response_body_filters eval
sub { return main::told(sub {"/shop$_[0]"}) . "\n" }
--- response_body
202



=== TEST 4: headers that decide are refused when they come twice
--- only: module
--- sale
1 153 limit=5
--- config eval: $::gate =~ s{seckill_gate\s+on;}{seckill_gate on; seckill_captcha on;}r
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $pass = captcha('li', '1', '153');
    my @told = (
        main::told(undef, $pass, 'Idempotency-Key: a', 'Idempotency-Key: a'),
        main::told(undef, $pass, 'Idempotency-Key: a', 'idempotency-key: b'),
        main::told(undef, $pass, captcha('li', '1', '153')),
        main::told(undef, $pass, 'Idempotency-Key: a'),
    );
    return CORE::join(', ', @told) . "\n";
}
--- response_body
400 bad_request, 400 bad_request, 400 bad_request, 202



=== TEST 5: a request id in quotes is the same request
--- only: module
--- sale
1 153 limit=5
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    return CORE::join(', ', map { main::told(undef, "Idempotency-Key: $_") } '"one-1"', 'one-1', '"two"', '"', '"a"b"', 'a b') . "\n";
}
--- response_body
202, 202, 409 duplicate, 400 bad_request, 400 bad_request, 400 bad_request



=== TEST 6: bytes in cookies and headers of others do not matter
--- only: module
--- sale
1 153 limit=5
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $own = cookie('li') =~ s/^Cookie: //r;
    return CORE::join(', ', map { main::told(undef, 'Idempotency-Key: same', @$_) }
        ["Cookie: name=\xfc; $own"], ["Cookie: $own; name=\xff\xfe"], ["Cookie: name=\xe9", "Cookie: $own"],
        ["X-Note: caf\xe9"], ["Cookie: $own", "Referer: http://shop/\xff"]) . "\n";
}
--- response_body
202, 202, 202, 202, 202



=== TEST 7: what nginx itself refuses in a guarded location is JSON
--- sale
1 153 limit=5
--- config eval: $::gate
--- request: GET /metrics
--- allow_errors
--- response_body_filters eval
sub {
    my $large = main::told(undef, 'Content-Length: 9000000');
    my $chunked = main::told(undef, 'Transfer-Encoding: chunked');
    return "$large, $chunked\n";
}
--- response_body
400 bad_request, 400 bad_request



=== TEST 8: of two sessions the first counts, and two Authorization headers are refused, also for the hidden URL
--- only: module
--- sale
1 153 limit=5
--- config eval: "$::gate location ~ /path\$ { seckill_path; }"
--- request: GET /metrics
--- response_body_filters eval
sub {
    my ($li, $wang) = map { main::cookie($_) =~ s/^Cookie: //r } qw(li wang);
    my @twice = ('Authorization: Basic c2hvcDpzaG9w', 'Authorization: Bearer a.b.c');
    my @told  = map { main::told(undef, @$_) } ["Cookie: $wang; $li"], ["Cookie: $wang", "Cookie: $li"],
        [@twice], ["Cookie: $li; $wang", 'Idempotency-Key: k'], ["Cookie: $li", "Cookie: $wang", 'Idempotency-Key: k'];
    push @told, SeckillEdge::get_at($ENV{TEST_NGINX_SERVER_PORT}, '/api/rounds/1/products/153/path', "Cookie: $li", @twice) =~ m{^HTTP/1\.1 (\d+)};
    return CORE::join(', ', @told) . "\n";
}
--- response_body
403 bad_signature, 403 bad_signature, 400, 202, 202, 400



=== TEST 9: a Host of any bytes and any length that nginx takes decides nothing
--- only: module
--- sale
1 153 limit=5
--- config eval: $::gate
--- request: GET /metrics
--- response_body_filters eval
sub {
    my @told;
    for my $host ("caf\xc3\xa9.example", "\xff\xfe\x80", 'a' x 20_000) {
        my $buyer = 'buyer' . @told;
        my $edge  = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $ENV{TEST_NGINX_SERVER_PORT});
        print $edge CORE::join "\r\n", 'POST ' . main::hidden_path($buyer, '1', '153') . ' HTTP/1.1', "Host: $host",
            main::cookie($buyer), 'Connection: close', '', '';
        push @told, SeckillClick::answer($edge) =~ m{^HTTP/1\.1 (\d+)};
    }
    return CORE::join(', ', @told) . "\n";
}
--- response_body
202, 202, 202
