use lib 't/lib';
use SeckillTest 'no_plan';

run_tests();

__DATA__

=== TEST 1: the time service tells the server's clock
--- config
    location = /api/time { seckill_time; }
--- request
GET /api/time
--- error_code: 200
--- response_headers
Content-Type: application/json
--- response_body_filters eval
[sub {
    my ($told) = $_[0] =~ /^\{"now_ms":(\d{13})\}\s*$/;
    return defined $told && abs($told - SeckillSign::now_ms()) < 5_000 ? "right\n" : "wrong: $_[0]";
}]
--- response_body
right



=== TEST 2: nobody on the way keeps the answer
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



=== TEST 4: posting the time is a bad request
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
