use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(answer);
use SeckillEdge qw(second_edge end_edge);

# What nginx itself refuses, whatever it has understood of the request by then, is JSON
# with a code: the pages show a sentence for it. The whole of the shipped configuration.
sub whole_edge {
    my $files = "$ENV{TEST_NGINX_SERVROOT}";
    return second_edge(http_config('upstream seckill_ops { server unix:/nowhere.sock; }'),
        "set \$seckill_static $files; set \$seckill_pages $files;\n" . SeckillTest::shipped('server.conf'));
}

# Status and code of the response to these bytes.
sub told {
    my ($edge, $bytes) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $$edge{port}) or return 'no connection';
    local $SIG{PIPE} = 'IGNORE';
    print $socket $bytes;
    my ($status, $head, $body) = answer($socket, 5) =~ m{^HTTP/1\.1 (\d+)(.*?)\r\n\r\n(.*)}s or return 'nothing';
    my ($code) = $body =~ /^\{"code":"(\w+)","message":"[^"]+\."\}/;
    return $status . ' ' . ($code && $head =~ m{Content-Type: application/json}i ? $code : "not JSON: $body");
}

sub request {
    my ($line, @headers) = @_;
    return join "\r\n", $line, 'Host: shop', @headers, 'Connection: close', '', '';
}

run_tests();

__DATA__

=== TEST 1: whatever is malformed, in /buy/ and in /api/captcha
--- only: module
--- sale
1 153 limit=5
--- config: location = /metrics { seckill_status; }
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $edge = main::whole_edge();
    my $long = 'a' x 40_000;
    my @told;
    for my $path (hidden_path('li', '1', '153'), '/api/captcha') {
        for my $bytes (
            main::request("POST $path\0 HTTP/1.1"), main::request("POST $path%00 HTTP/1.1"), main::request("POST $path%zz HTTP/1.1"),
            main::request("POST $path$long HTTP/1.1"), main::request("POST $path?$long HTTP/1.1"),
            main::request("post $path HTTP/1.1"), main::request("POST $path HTTP/3.0"),
            main::request("CONNECT $path HTTP/1.1"), main::request("TRACE $path HTTP/1.1"),
            main::request("POST $path HTTP/1.1", 'Host: other'), main::request("POST $path HTTP/1.1", "X-Note: \0"),
            main::request("POST $path HTTP/1.1", "Cookie: a=$long"), main::request("POST $path HTTP/1.1", 'Content-Length: x'),
            main::request("POST $path HTTP/1.1", 'Content-Length: 100000'), main::request("POST $path HTTP/1.1", 'Transfer-Encoding: gzip'),
            main::request("POST $path HTTP/1.1", 'Transfer-Encoding: chunked') . "zz\r\n",
            main::request("POST $path HTTP/1.1", 'Transfer-Encoding: chunked', 'Content-Length: 3') . "0\r\n\r\n",
            "POST $path HTTP/1.1\r\n\r\n",
        ) {
            my $told = main::told($edge, $bytes);
            push @told, substr($bytes, 0, 12) . " … $told" if $told ne '400 bad_request';
        }
    }
    push @told, main::told($edge, main::request('POST /buy HTTP/1.1', 'Content-Length: 0'));
    push @told, main::told($edge, main::request('GET /seckill_bad_request HTTP/1.1')) =~ /^(\d+)/;
    SeckillEdge::end_edge($edge);
    return CORE::join("\n", @told, '');
}
--- response_body
404 not_found
404
--- allow_errors



=== TEST 2: a back end that is not there
--- only: module
--- sale
1 153 limit=5
--- config: location = /metrics { seckill_status; }
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $edge = main::whole_edge();
    unlink backend_socket();
    my $cookie = cookie('li');
    SeckillTest::eventually(sub { main::told($edge, main::request('POST ' . hidden_path('li', '1', '153') . ' HTTP/1.1', $cookie)) eq '503 unavailable' });
    my @told = map { main::told($edge, main::request($_, $cookie)) }
        'POST ' . hidden_path('li', '1', '153') . ' HTTP/1.1', 'GET /api/captcha?round=1&product=153 HTTP/1.1', 'GET /api/orders HTTP/1.1', 'GET /api/rounds HTTP/1.1';
    SeckillEdge::end_edge($edge);
    return CORE::join("\n", @told, '');
}
--- response_body
503 unavailable
503 unavailable
503 unavailable
503 unavailable
--- allow_errors



=== TEST 3: a token that is sent twice
--- only: module
--- sale
1 153 limit=5
--- config: location = /metrics { seckill_status; }
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $edge = main::whole_edge();
    my @told = map { main::told($edge, main::request('POST ' . hidden_path('li', '1', '153') . ' HTTP/1.1', cookie('li'), @$_)) }
        ['Authorization: Bearer a', 'Authorization: Bearer b'];
    SeckillEdge::end_edge($edge);
    return "@told\n";
}
--- response_body
400 bad_request
