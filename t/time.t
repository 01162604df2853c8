use lib 't/lib';
use SeckillTest 'no_plan';

run_tests();

__DATA__

=== TEST 1: the time service returns the server's clock
--- config
    location = /api/time { seckill_time; }
--- request
GET /api/time
--- error_code: 200
--- response_headers
Content-Type: application/json
--- response_body_filters eval
[sub {
    my ($now_ms) = $_[0] =~ /^\{"now_ms":(\d{13})\}\s*$/;
    return defined $now_ms && abs($now_ms - SeckillSign::now_ms()) < 5_000 ? "right\n" : "wrong: $_[0]";
}]
--- response_body
right



=== TEST 2: the response is not cached on the way
--- config
    location = /api/time { seckill_time; }
--- request
GET /api/time
--- error_code: 200
--- response_headers_like
Cache-Control: .*no-store.*



=== TEST 3: HEAD is answered without a body
--- config
    location = /api/time { seckill_time; }
--- request
HEAD /api/time
--- error_code: 200
--- response_body:



=== TEST 4: POST is a bad request
--- config
    location = /api/time { seckill_time; }
--- request
POST /api/time
--- error_code: 400
--- response_body_like: "code":"bad_request"



=== TEST 5: the time needs neither Redis nor keys
--- http_config
--- config
    location = /api/time { seckill_time; }
--- request
GET /api/time
--- error_code: 200
--- response_body_like: "now_ms":\d+
