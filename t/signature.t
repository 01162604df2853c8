use lib 't/lib';
use SeckillTest 'no_plan';

# The gated location of every block here.
our $gate = gate_location();
our $md5  = gate_location('seckill_digest md5;');
our $sale = '1 153 opens=-10s ends=+1h limit=100';

run_tests();

__DATA__

=== TEST 1: a buyer's own address passes
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('li', '1', '153')
--- more_headers eval: cookie('li')
--- error_code: 202
--- response_body_like: ^permit=\S* request=\S+ uri=/buy/1/153/



=== TEST 2: so it does with the course's MD5 digest
--- sale eval: $::sale
--- config eval: $::md5
--- request eval: 'POST ' . hidden_path('li', '1', '153', digest => 'md5')
--- more_headers eval: cookie('li')
--- error_code: 202



=== TEST 3: an MD5 address is refused where HMAC is asked for
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('li', '1', '153', digest => 'md5')
--- more_headers eval: cookie('li')
--- error_code: 403
--- response_body_like: "code":"bad_signature"



=== TEST 4: an HMAC address is refused where MD5 is asked for
--- sale eval: $::sale
--- config eval: $::md5
--- request eval: 'POST ' . hidden_path('li', '1', '153')
--- more_headers eval: cookie('li')
--- error_code: 403
--- response_body_like: "code":"bad_signature"



=== TEST 5: an address signed with the older key passes
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



=== TEST 7: another buyer's address
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('wang', '1', '153')
--- more_headers eval: cookie('li')
--- error_code: 403
--- response_body_like: "code":"bad_signature"



=== TEST 8: an address of another product
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



=== TEST 10: an expired address
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('li', '1', '153', expires => now_ms() - 1)
--- more_headers eval: cookie('li')
--- error_code: 403
--- response_body_like: "code":"expired"



=== TEST 11: an address of a far future is none of ours, even if signed
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



=== TEST 14: a session signed with a secret that is not ours
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



=== TEST 16: a path that is no purchase address
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



=== TEST 18: GET buys nothing
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: 'GET ' . hidden_path('li', '1', '153')
--- more_headers eval: cookie('li')
--- error_code: 400
--- response_body_like: "code":"bad_request"



=== TEST 19: a body where none belongs
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



=== TEST 22: what a client writes into the edge's own headers does not pass
--- sale eval: $::sale
--- config eval: $::gate
--- request eval: 'POST ' . hidden_path('li', '1', '153')
--- more_headers eval: cookie('li') . "\nX-Seckill-Permit: forged.forged.1\nX-Request-Id: forged"
--- error_code: 202
--- response_body_unlike: forged
