use lib 't/lib';
use SeckillTest 'no_plan';

# The gated location of every block here.
our $gate = gate_location();
our $md5  = gate_location('seckill_digest md5;');
our $sale = '1 153 opens=-10s ends=+1h limit=100';

run_tests();

__DATA__

=== TEST 1: a buyer's own URL passes
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('li', '1', '153')
--- more_headers eval: cookie('li')
--- error_code: 202
--- response_body_like: ^permit=\S* request=\S+ uri=/buy/1/153/



=== TEST 2: a URL with the course's MD5 digest passes
--- sale eval: $::sale
--- config eval: $::md5
--- request eval: 'POST ' . hidden_path('li', '1', '153', digest => 'md5')
--- more_headers eval: cookie('li')
--- error_code: 202



=== TEST 3: an MD5 URL is refused where HMAC is configured
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('li', '1', '153', digest => 'md5')
--- more_headers eval: cookie('li')
--- error_code: 403
--- response_body_like: "code":"bad_signature"



=== TEST 4: an HMAC URL is refused where MD5 is configured
--- sale eval: $::sale
--- config eval: $::md5
--- request eval: 'POST ' . hidden_path('li', '1', '153')
--- more_headers eval: cookie('li')
--- error_code: 403
--- response_body_like: "code":"bad_signature"



=== TEST 5: a URL signed with the older key passes
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('li', '1', '153', kid => 'k1')
--- more_headers eval: cookie('li', kid => 'k1')
--- error_code: 202



=== TEST 6: a key id that the ring does not have
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('li', '1', '153', kid => 'k9', secret => $KEYS{k2})
--- more_headers eval: cookie('li')
--- error_code: 403
--- response_body_like: "code":"bad_signature"



=== TEST 7: another buyer's URL
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('wang', '1', '153')
--- more_headers eval: cookie('li')
--- error_code: 403
--- response_body_like: "code":"bad_signature"



=== TEST 8: a URL of another product
--- sale
1 153
1 154
--- config eval: $::gate
--- request eval: (my $p = hidden_path('li', '1', '153')) =~ s{/153/}{/154/}; "POST $p"
--- more_headers eval: cookie('li')
--- error_code: 403
--- response_body_like: "code":"bad_signature"



=== TEST 9: a digest with its last character changed
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: my $p = hidden_path('li', '1', '153'); substr($p, -2, 1) =~ tr/A-Za-z0-9_-/B-ZAb-za1-90\-_/; "POST $p"
--- more_headers eval: cookie('li')
--- error_code: 403
--- response_body_like: "code":"bad_signature"



=== TEST 10: an expired URL
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('li', '1', '153', expires => now_ms() - 1)
--- more_headers eval: cookie('li')
--- error_code: 403
--- response_body_like: "code":"expired"



=== TEST 11: a URL that expires in the far future is refused, even if signed
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('li', '1', '153', expires => now_ms() + 3_600_000)
--- more_headers eval: cookie('li')
--- error_code: 403
--- response_body_like: "code":"bad_signature"



=== TEST 12: no session
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('li', '1', '153')
--- error_code: 401
--- response_body_like: "code":"login_required"



=== TEST 13: a session past its end
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('li', '1', '153')
--- more_headers eval: cookie('li', expires => now_ms() - 1)
--- error_code: 401
--- response_body_like: "code":"login_required"



=== TEST 14: a session signed with an unknown secret
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('li', '1', '153')
--- more_headers eval: cookie('li', secret => 'x' x 40)
--- error_code: 401
--- response_body_like: "code":"login_required"



=== TEST 15: the session is found among other cookies
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('li', '1', '153')
--- more_headers eval: 'Cookie: theme=dark; seckill_session=' . session('li') . '; lang=zh'
--- error_code: 202



=== TEST 16: a path that is no purchase URL
--- sale eval: $::sale
--- config eval: $::gate
--- request
POST /buy/1/153
--- more_headers eval: cookie('li')
--- error_code: 400
--- response_body_like: "code":"bad_request"



=== TEST 17: letters where the expiry belongs
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: (my $p = hidden_path('li', '1', '153')) =~ s{/153/\d}{/153/x}; "POST $p"
--- more_headers eval: cookie('li')
--- error_code: 400
--- response_body_like: "code":"bad_request"



=== TEST 18: a GET request
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: 'GET ' . hidden_path('li', '1', '153')
--- more_headers eval: cookie('li')
--- error_code: 400
--- response_body_like: "code":"bad_request"



=== TEST 19: a request with a body
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('li', '1', '153') . "\nquantity=2"
--- more_headers eval: cookie('li')
--- error_code: 400
--- response_body_like: "code":"bad_request"



=== TEST 20: a malformed Idempotency-Key
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('li', '1', '153')
--- more_headers eval: cookie('li') . "\nIdempotency-Key: a b"
--- error_code: 400
--- response_body_like: "code":"bad_request"



=== TEST 21: the client's Idempotency-Key becomes the request id
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('li', '1', '153')
--- more_headers eval: cookie('li') . "\nIdempotency-Key: click-1"
--- error_code: 202
--- response_body_like: request=click-1



=== TEST 22: the edge's own headers cannot be set by a client
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('li', '1', '153')
--- more_headers eval: cookie('li') . "\nX-Seckill-Permit: forged.forged.1\nX-Request-Id: forged"
--- error_code: 202
--- response_body_unlike: forged



=== TEST 23: a session may say when it was issued, and is signed with it
--- sale eval: $::sale
--- config eval: $::gate
--- pipelined_requests eval: [map { 'POST ' . hidden_path($_, '1', '153') } qw(li wang zhao)]
--- more_headers eval
my ($expires, $issued) = (now_ms() + 60_000, now_ms());
my $wang = cookie('wang', expires => "$expires-$issued");
[cookie('li', expires => "$expires-$issued"), $wang =~ s/-\d+/'-' . ($issued + 1)/er, cookie('zhao', expires => now_ms() - 1 . "-$issued")]
--- error_code eval: [202, 401, 401]
