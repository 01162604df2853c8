use lib 't/lib';
use SeckillClick ();
use SeckillTest 'no_plan';

# Also runs under valgrind.

our $gate  = gate_location();
our $state = 'location ~ /state$ { seckill_state; }';

# One click of each of these buyers on product 153 of round 1.
sub clicks { [map {'POST ' . hidden_path($_, '1', '153')} @_] }
sub cookies { [map { cookie($_) } @_] }

run_tests();

__DATA__

=== TEST 1: as many pass as the limit says, then it is sold out
--- sale
1 153 limit=3
--- config eval: $::gate
--- pipelined_requests eval: main::clicks('a', 'b', 'c', 'd', 'e')
--- more_headers eval: main::cookies('a', 'b', 'c', 'd', 'e')
--- error_code eval: [202, 202, 202, 410, 410]
--- response_body_like eval: [qr/^permit=/, qr/^permit=/, qr/^permit=/, qr/"code":"sold_out"/, qr/"code":"sold_out"/]



=== TEST 2: the counter in Redis counts the granted permits
--- sale
1 153 limit=3
--- config eval: $::gate
--- pipelined_requests eval: main::clicks('a', 'b')
--- more_headers eval: main::cookies('a', 'b')
--- error_code eval: [202, 202]
--- response_body_filters eval
[sub { my $n = redis('GET', 'seckill::{1::153}::permits'); return $n >= 1 && $n <= 3 ? "counted\n" : "permits: $n\n" }]
--- response_body eval: ["counted\n", "counted\n"]



=== TEST 3: refused clicks take no permit
--- sale
1 153 limit=3
--- config eval: $::gate
--- pipelined_requests eval: ['POST ' . hidden_path('b', '1', '153'), 'GET /buy/1/153']
--- more_headers eval: main::cookies('a', 'a')
--- error_code eval: [403, 400]
--- response_body_filters eval
[sub { return 'permits: ' . (redis('GET', 'seckill::{1::153}::permits') // 0) . "\n" }]
--- response_body eval: ["permits: 0\n", "permits: 0\n"]



=== TEST 4: a permit names its edge, lease and place
--- only: module
--- sale
1 153 limit=3
--- http_config eval: http_config('seckill_node edge-7;')
--- config eval: $::gate
--- request eval: main::clicks('a')->[0]
--- more_headers eval: cookie('a')
--- error_code: 202
--- response_body_like: ^permit=edge-7\.[A-Za-z0-9_-]+\.\d+ request=



=== TEST 5: a purchase of two takes two permits
--- sale
1 153 limit=3 per_buyer=2
--- config eval: $::gate
--- pipelined_requests eval: [map {"$_?quantity=2"} @{main::clicks('a', 'b')}]
--- more_headers eval: main::cookies('a', 'b')
--- error_code eval: [202, 410]



=== TEST 6: nobody may take more than the cap
--- sale
1 153 limit=9 per_buyer=2
--- config eval: $::gate
--- request eval: main::clicks('a')->[0] . '?quantity=3'
--- more_headers eval: cookie('a')
--- error_code: 400
--- response_body_like: "code":"bad_request"



=== TEST 7: a quantity that is not a number
--- sale
1 153 limit=9 per_buyer=2
--- config eval: $::gate
--- request eval: main::clicks('a')->[0] . '?quantity=two'
--- more_headers eval: cookie('a')
--- error_code: 400
--- response_body_like: "code":"bad_request"



=== TEST 8: products have permits of their own
--- sale
1 153 limit=1
1 154 limit=1
--- config eval: $::gate
--- pipelined_requests eval: [map {'POST ' . hidden_path($$_[0], '1', $$_[1])} ['a', 153], ['a', 154], ['b', 153], ['b', 154]]
--- more_headers eval: main::cookies('a', 'a', 'b', 'b')
--- error_code eval: [202, 202, 410, 410]



=== TEST 9: over the rate the gate is busy, and says when to retry
--- only: module
--- sale
1 153 limit=90
--- config eval: gate_location('seckill_rate rate=1r/s burst=2;')
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    # All at once: a slow machine makes a token a second meanwhile, and none for the last.
    my @open    = map { SeckillClick::click("buyer$_") } 1 .. 40;
    my @answers = map { SeckillClick::answer($_) } @open;
    my $passed  = grep {/^HTTP\/1\.1 202 /} @answers;
    my $refused = grep {/^HTTP\/1\.1 429 .*^Retry-After: 1\r.*"code":"busy"/ms} @answers;
    return $passed >= 2 && $refused && $passed + $refused == 40 ? "as many as the rate\n" : "$passed passed, $refused are busy\n";
}
--- response_body
as many as the rate



=== TEST 10: a forged click costs no token of the rate
--- sale
1 153 limit=9
--- config eval: gate_location('seckill_rate rate=1r/s burst=1;')
--- pipelined_requests eval: [@{main::clicks('b', 'b')}, @{main::clicks('a')}]
--- more_headers eval: main::cookies('a', 'a', 'a')
--- error_code eval: [403, 403, 202]



=== TEST 11: with a gate off everything passes
--- config
    location /buy/ { seckill_gate off; proxy_pass http://seckill_purchase; }
--- request
POST /buy/anything
--- error_code: 202



=== TEST 12: a user whom nginx vouches for needs no session
--- sale
1 153
--- config eval: gate_location('set $member $http_x_member; seckill_user $member;')
--- request eval: main::clicks('a')->[0]
--- more_headers
X-Member: a
--- error_code: 202



=== TEST 13: without that user a login is required
--- sale
1 153
--- config eval: gate_location('set $member $http_x_member; seckill_user $member;')
--- request eval: main::clicks('a')->[0]
--- more_headers eval: cookie('a')
--- error_code: 401
--- response_body_like: "code":"login_required"



=== TEST 14: the state of a product before, while and after it sells
--- sale
1 10 opens=+1h ends=+2h
1 11 opens=-1s ends=+1h
1 12 opens=-1h ends=-1s
--- config eval: $::state
--- pipelined_requests eval: [map {"GET /api/rounds/1/products/$_/state"} qw(10 11 12)]
--- error_code eval: [200, 200, 200]
--- response_body_like eval
[map {qr/^\{"state":"$_","now_ms":\d{13},"opens_ms":\d{13},"ends_ms":\d{13}\}\s*$/} qw(scheduled open ended)]



=== TEST 15: the state says sold out once the permits are gone
--- sale
1 153 limit=1
--- config eval: "$::gate $::state"
--- pipelined_requests eval: [@{main::clicks('a', 'b')}, 'GET /api/rounds/1/products/153/state']
--- more_headers eval: main::cookies('a', 'b', 'b')
--- error_code eval: [202, 410, 200]
--- response_body_like eval: [qr/^permit=/, qr/"code":"sold_out"/, qr/"state":"sold_out"/]



=== TEST 16: the state of a product that is not on sale
--- sale
1 153
--- config eval: $::state
--- request
GET /api/rounds/1/products/999/state
--- error_code: 404
--- response_body_like: "code":"not_found"



=== TEST 17: the variables name buyer, product and verdict
--- only: module
--- sale
1 153 limit=1
--- config eval
gate_location('add_header X-Log "$seckill_verdict $seckill_user $seckill_round $seckill_product" always;')
--- pipelined_requests eval: main::clicks('a', 'b')
--- more_headers eval: main::cookies('a', 'b')
--- error_code eval: [202, 410]
--- response_headers eval: ['X-Log: admitted a 1 153', 'X-Log: sold_out b 1 153']



=== TEST 18: refusals are never cached on the way
--- sale
1 153 limit=1
--- config eval: $::gate
--- request
POST /buy/1/153
--- error_code: 400
--- response_headers_like
Content-Type: application/json.*
Cache-Control: .*no-store.*
