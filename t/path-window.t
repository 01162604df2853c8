use lib 't/lib';
use SeckillTest 'no_plan';

our $path = 'location ~ ^/api/rounds/[^/]+/products/[^/]+/path$ { seckill_path; }';
our $both = $path . gate_location();
our $get  = 'GET /api/rounds/1/products/153/path';

run_tests();

__DATA__

=== TEST 1: more than a minute before the start there is no purchase URL
--- sale
1 153 opens=+90s ends=+1h
--- config eval: $::path
--- request eval: $::get
--- more_headers eval: cookie('li')
--- error_code: 425
--- response_body_like: "code":"too_early"



=== TEST 2: within the last minute there is one, good from the start
--- sale
1 153 opens=+55s ends=+1h
--- config eval: $::path
--- request eval: $::get
--- more_headers eval: cookie('li')
--- error_code: 200
--- response_body_like: ^\{"path":"/buy/1/153/\d{13}/[0-9a-f]{16}/k2\.[A-Za-z0-9_-]{43}","opens_ms":\d{13}\}\s*$



=== TEST 3: a purchase URL is never cached on the way
--- sale
1 153
--- config eval: $::path
--- request eval: $::get
--- more_headers eval: cookie('li')
--- error_code: 200
--- response_headers_like
Cache-Control: .*no-store.*



=== TEST 4: the purchase URL is signed as documented
--- sale
1 153
--- config eval: $::path
--- request eval: $::get
--- more_headers eval: cookie('li')
--- response_body_filters eval
[sub {
    my ($path, $expires, $nonce) = $_[0] =~ m{"path":"(/buy/1/153/(\d+)/(\w+)/[^"]+)"} or return "none: $_[0]";
    my $ours = hidden_path('li', '1', '153', expires => $expires, nonce => $nonce);
    return $path eq $ours ? "same\n" : "$path\n$ours\n";
}]
--- response_body
same



=== TEST 5: with seckill_digest md5 the URL has the course's digest
--- sale
1 153
--- config
    location ~ /path$ { seckill_digest md5; seckill_path; }
--- request eval: $::get
--- more_headers eval: cookie('li')
--- error_code: 200
--- response_body_like: "path":"/buy/1/153/\d{13}/[0-9a-f]{16}/k2\.[0-9a-f]{32}"



=== TEST 6: two purchase URLs of one buyer differ by their nonce
--- sale
1 153
--- config eval: $::path
--- pipelined_requests eval: [$::get, $::get]
--- more_headers eval: cookie('li')
--- error_code eval: [200, 200]
--- response_body_filters eval
[sub {
    our %seen;
    my ($nonce) = $_[0] =~ m{/(\w{16})/k2};
    return defined $nonce && !$seen{$nonce}++ ? "new\n" : "again: $_[0]";
}]
--- response_body eval: ["new\n", "new\n"]



=== TEST 7: no session, no purchase URL
--- sale
1 153
--- config eval: $::path
--- request eval: $::get
--- error_code: 401
--- response_body_like: "code":"login_required"



=== TEST 8: a tampered session gets none either
--- sale
1 153
--- config eval: $::path
--- request eval: $::get
--- more_headers eval: (my $c = cookie('li')) =~ s/=li\./=wang./; $c
--- error_code: 401
--- response_body_like: "code":"login_required"



=== TEST 9: after the end there is none
--- sale
1 153 opens=-1h ends=-1s
--- config eval: $::path
--- request eval: $::get
--- more_headers eval: cookie('li')
--- error_code: 410
--- response_body_like: "code":"ended"



=== TEST 10: an unknown product
--- sale
1 153
--- config eval: $::path
--- request
GET /api/rounds/1/products/999/path
--- more_headers eval: cookie('li')
--- error_code: 404
--- response_body_like: "code":"not_found"



=== TEST 11: a malformed product
--- sale
1 153
--- config eval: $::path
--- request
GET /api/rounds/1/products/1-3/path
--- more_headers eval: cookie('li')
--- error_code: 400
--- response_body_like: "code":"bad_request"



=== TEST 12: a purchase URL used before the start
--- sale
1 153 opens=+30s ends=+1h
--- config eval: $::both
--- request eval: 'POST ' . hidden_path('li', '1', '153')
--- more_headers eval: cookie('li')
--- error_code: 425
--- response_body_like: "code":"too_early"



=== TEST 13: a purchase URL used after the end
--- sale
1 153 opens=-1h ends=-1s
--- config eval: $::both
--- request eval: 'POST ' . hidden_path('li', '1', '153')
--- more_headers eval: cookie('li')
--- error_code: 410
--- response_body_like: "code":"ended"



=== TEST 14: a signed purchase URL of a product that is not on sale
--- sale
1 153
--- config eval: $::both
--- request eval: 'POST ' . hidden_path('li', '1', '999')
--- more_headers eval: cookie('li')
--- error_code: 404
--- response_body_like: "code":"not_found"
