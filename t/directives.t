use lib 't/lib';
use SeckillTest 'no_plan';

# Every message must name the directive and the value, and say what is right.
run_tests();

__DATA__

=== TEST 1: a zone without a size
--- http_config
    seckill_zone test;
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_zone.*"test".*name:size/]



=== TEST 2: a zone that is too small to be useful
--- http_config
    seckill_zone test:1k;
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_zone: .*1024 bytes is too small.*at least \d+m/]



=== TEST 3: a malformed Redis address
--- http_config
    seckill_zone test:8m;
    seckill_redis nowhere;
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_redis.*"nowhere".*host:port/]



=== TEST 4: an unknown option of the Redis connection
--- http_config
    seckill_zone test:8m;
    seckill_redis 127.0.0.1:6379 timeuot=50ms;
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_redis.*"timeuot=".*timeout/]



=== TEST 5: a timeout that is no duration
--- http_config
    seckill_zone test:8m;
    seckill_redis 127.0.0.1:6379 timeout=soon;
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_redis.*"soon".*timeout=50ms/]



=== TEST 6: a key file that is not there
--- http_config
    seckill_keys /nowhere/keys;
--- must_die
--- error_log eval: [qr{\[emerg\].*seckill_keys.*/nowhere/keys}]



=== TEST 7: a key file that others may read
--- http_config eval
open my $f, '>', SeckillRedis::folder() . '/open-keys'; print $f 'k1 ', 'x' x 40, "\n"; close $f;
chmod 0644, SeckillRedis::folder() . '/open-keys';
'seckill_keys ' . SeckillRedis::folder() . '/open-keys;'
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_keys.*open-keys.*chmod/]



=== TEST 8: a secret that is too short
--- http_config eval
open my $f, '>', SeckillRedis::folder() . '/short-keys'; print $f "k1 short\n"; close $f;
chmod 0600, SeckillRedis::folder() . '/short-keys';
'seckill_keys ' . SeckillRedis::folder() . '/short-keys;'
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_keys.*short-keys.*line 1.*at least 32/]



=== TEST 9: a rate without a number
--- config
    location /buy/ { seckill_rate rate=fast; seckill_gate on; proxy_pass http://seckill_purchase; }
--- must_die
--- error_log eval: [qr{\[emerg\].*seckill_rate.*"fast".*rate=50000r/s}]



=== TEST 10: a burst that is no number
--- config
    location /buy/ { seckill_rate rate=10r/s burst=some; seckill_gate on; proxy_pass http://seckill_purchase; }
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_rate.*"some".*burst=1000/]



=== TEST 11: an unknown digest
--- config
    location /buy/ { seckill_digest sha1; seckill_gate on; proxy_pass http://seckill_purchase; }
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_digest.*"sha1".*hmac-sha256.*md5/]



=== TEST 12: a gate that is neither on nor off
--- config
    location /buy/ { seckill_gate maybe; proxy_pass http://seckill_purchase; }
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_gate.*"maybe".*on or off/]



=== TEST 13: a user that is not a variable
--- config
    location /buy/ { seckill_user li; seckill_gate on; proxy_pass http://seckill_purchase; }
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_user.*"li".*variable/]



=== TEST 14: a node name that cannot stand in a permit
--- http_config
    seckill_node edge.7;
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_node.*"edge\.7"/]



=== TEST 15: a gate without a zone
--- http_config
    upstream seckill_purchase { server 127.0.0.1:1; }
--- config
    location /buy/ { seckill_gate on; proxy_pass http://seckill_purchase; }
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_gate.*seckill_zone/]



=== TEST 16: a directive in the wrong place
--- config
    location /buy/ { seckill_zone test:8m; }
--- must_die
--- error_log eval: [qr/\[emerg\].*"seckill_zone" directive is not allowed here/]



=== TEST 17: with everything right nginx starts
--- config
    location = /api/time { seckill_time; }
    location /buy/ { seckill_rate rate=50000r/s burst=1000; seckill_gate on; proxy_pass http://seckill_purchase; }
    location = /metrics { seckill_status; }
--- request
GET /metrics
--- error_code: 200



=== TEST 18: a notice says what a small zone holds, and how large it should be
--- http_config eval: http_config() =~ s/test:8m/test:2m/r
--- config
    location = /metrics { seckill_status; }
--- request
GET /metrics
--- error_code: 200
--- error_log eval: [qr/\[notice\].*seckill_zone "test": a zone of 2 MiB holds [\d]+ products, \d+ admitted buyers, \d+ bans and \d+ captcha passes; make it \d+m to hold 10000, 1000000, 1000000 and 125000/]



=== TEST 19: a second zone
--- http_config
    seckill_zone test:8m;
    seckill_zone other:8m;
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_zone: is given twice; one zone serves all/]



=== TEST 20: a zone whose name another module has taken
--- http_config
    seckill_zone test:8m;
    limit_req_zone $binary_remote_addr zone=test:8m rate=1r/s;
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_zone "test" cannot be declared; is the name taken by another zone\?/]



=== TEST 21: a user that the client chooses is warned of
--- config
    location = /unused { return 204; }
    location /buy/ { seckill_user $http_x_user; seckill_gate on; proxy_pass http://seckill_purchase; }
--- error_code: 204
--- error_log eval: [qr/\[warn\].*seckill_user: \$http_x_user holds what the client sends.*auth_request_set.*nginx\.conf:\d+/]



=== TEST 22: and so for an argument and a cookie
--- config
    location = /unused { return 204; }
    location /buy/ { seckill_user $arg_user; seckill_gate on; proxy_pass http://seckill_purchase; }
    location /buy2/ { seckill_user $cookie_user; seckill_gate on; proxy_pass http://seckill_purchase; }
--- error_code: 204
--- error_log eval
[qr/\[warn\].*seckill_user: \$arg_user holds/, qr/\[warn\].*seckill_user: \$cookie_user holds/]



=== TEST 23: a user that nginx vouches for is not
--- config
    location = /unused { return 204; }
    location /buy/ { seckill_user $remote_user; seckill_gate on; proxy_pass http://seckill_purchase; }
--- error_code: 204



=== TEST 24: a digest that differs between gate and hidden URL is warned of
--- config
    location = /unused { return 204; }
    location ~ /path$ { seckill_path; }
    location /buy/ { seckill_digest md5; seckill_gate on; proxy_pass http://seckill_purchase; }
--- error_code: 204
--- error_log eval
[qr/\[warn\].*seckill_gate: seckill_digest is md5 here and another for every seckill_path of this server.*nginx\.conf:\d+/,
qr/\[warn\].*seckill_path: seckill_digest is hmac-sha256 here/]



=== TEST 25: one that is inherited by both is not
--- config
    location = /unused { return 204; }
    seckill_digest md5;
    location ~ /path$ { seckill_path; }
    location /buy/ { seckill_gate on; proxy_pass http://seckill_purchase; }
--- error_code: 204



=== TEST 26: a response of the module beside proxy_pass is warned of, whichever stands last
--- config
    location = /unused { return 204; }
    location /first/ { seckill_state; proxy_pass http://seckill_purchase; }
    location /last/ { proxy_pass http://seckill_purchase; seckill_time; }
--- error_code: 204
--- error_log eval
[qr/\[warn\].*seckill_state: this location has another directive that responds.*nginx\.conf:\d+/,
qr/\[warn\].*seckill_time: this location has another directive that responds.*nginx\.conf:\d+/]



=== TEST 27: a timeout near the life of a lease is warned of
--- http_config eval: http_config() =~ s/timeout=\w+/timeout=1900ms/r
--- error_code: 204
--- error_log eval: [qr/\[warn\].*seckill_redis: timeout=1900ms is near the 2000 ms.*nginx\.conf:\d+/]



=== TEST 28: a burst that no bucket can hold
--- http_config
    server { listen 127.0.0.1:1; location / { seckill_rate key=$remote_addr zone=a:1m rate=5r/s burst=999999999999; } }
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_rate.*burst "999999999999".*write at most burst=432000/]



=== TEST 29: a key of two variables
--- http_config
    server { listen 127.0.0.1:1; location / { seckill_rate key=$uri$args zone=a:1m rate=5r/s; } }
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_rate.*"\$uri\$args".*one alone.*nginx\.conf:\d+/]



=== TEST 30: a variable in braces is that variable
--- config
location /api/ { seckill_rate key=${uri} zone=a:1m rate=1r/s burst=1; try_files /nothing @inner; }
location @inner { return 204; }
--- request: GET /api/
--- error_code: 204



=== TEST 31: a key ring without a name
--- http_config
    seckill_keys "";
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_keys: "" must be the name of a file/]



=== TEST 32: a folder in place of the key ring
--- http_config
    seckill_keys /tmp;
--- must_die
--- error_log eval: [qr{\[emerg\].*seckill_keys: "/tmp" is a folder}]



=== TEST 33: a URL in place of Redis's address, whose password is nowhere shown
--- http_config
    seckill_zone test:8m;
    seckill_redis redis://:hunter2@127.0.0.1:6379;
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_redis: address "127\.0\.0\.1:6379" must be host:port alone.*password_file=.*nginx\.conf:\d+/]
--- no_error_log: hunter2



=== TEST 34: nor that of an option which is spelled wrong
--- http_config
    seckill_zone test:8m;
    seckill_redis 127.0.0.1:6379 passwd=hunter2;
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_redis: unknown argument "passwd="/]
--- no_error_log: hunter2



=== TEST 35: several addresses in one word, also where a resolver would look them up later
--- http_config
    resolver 127.0.0.1;
    seckill_zone test:8m;
    seckill_redis 127.0.0.1:6379,127.0.0.2:6379;
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_redis: address "127\.0\.0\.1:6379,127\.0\.0\.2:6379" must be host:port.*spaces/]
