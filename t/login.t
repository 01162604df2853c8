# Who the buyer is: whatever the shop's login calls them, and whatever else a browser
# sends.
# Also runs under valgrind
use lib 't/lib';
use SeckillTest 'no_plan';

# What logins call their users, in bytes.
our @names = (
    'li', 'auth0|5f7c8ec7c33c6c004bbafe82', 'f:6d1e4d2a-0b0f-4d0c-9a51-3c0f1a7d3c1e:li',
    "\xe5\xbc\xa0\xe4\xb8\x89", 'CN=Li Wei, O=Shop "A" {1}', '100%', "Jos\xe9", 'x' x 255, "\xe4\xba\xac" x 85,
);
# What others write into their cookies: UTF-8, Latin-1, GBK, no text at all.
our @foreign = ("city=\xe5\x8c\x97\xe4\xba\xac", "name=Jos\xe9", "city=\xb1\xb1\xbe\xa9", "\xff\xfe=\x80\x81; ; =;;");

# A location that answers with what the back end was told of the buyer.
# As if a proxy in front had set it.
our $member = 'map $http_x_member $member { default $http_x_member; } ';
our $identity = http_config($member . <<'_CONFIG_');
    server {
        listen unix:$TEST_NGINX_SERVER_ROOT/identity.sock;
        location / { return 200 "$http_x_seckill_identity"; }
    }
_CONFIG_
our $ask = 'location = /identity { proxy_set_header X-Seckill-Identity $seckill_identity;'
    . ' proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/identity.sock; ';

run_tests();

__DATA__

=== TEST 1: the cookies of others may hold any bytes
--- sale
1 153 limit=20
--- config eval: gate_location()
--- pipelined_requests eval
[map { 'POST ' . hidden_path("a$_", '1', '153') } 0 .. 3]
--- more_headers eval
[map { my $session = session("a$_"); "Cookie: $::foreign[$_]; seckill_session=$session; $::foreign[$_]\r\nX-App: $::foreign[$_]" } 0 .. 3]
--- error_code eval: [(202) x 4]



=== TEST 2: the hidden URL is handed out whatever cookies others have set
--- sale
1 153
--- config
    location ~ /path$ { seckill_path; }
--- pipelined_requests eval: [('GET /api/rounds/1/products/153/path') x 4]
--- more_headers eval
[map { my $session = session('li'); "Cookie: $_\r\nCookie: seckill_session=$session" } @::foreign]
--- error_code eval: [(200) x 4]



=== TEST 3: whatever the login calls a user, they may buy
--- sale
1 153 limit=20
--- http_config eval: http_config($::member)
--- config eval: gate_location('seckill_user $member;')
--- pipelined_requests eval: [map { 'POST ' . hidden_path(written($_), '1', '153') } @::names]
--- more_headers eval: [map {"X-Member: $_"} @::names]
--- error_code eval: [(202) x @::names]



=== TEST 4: what is no name is nobody
--- sale
1 153
--- http_config eval: http_config($::member)
--- config eval: gate_location('seckill_user $member;')
--- pipelined_requests eval: [map { 'POST ' . hidden_path('x', '1', '153') } 1 .. 2]
--- more_headers eval: ['X-Member: ' . 'x' x 256, 'X-Member:']
--- error_code eval: [401, 401]



=== TEST 5: the back end is told, signed, for whom this nginx vouches
--- http_config eval: $::identity
--- config eval: $::ask . 'seckill_user $member; }'
--- only: module
--- pipelined_requests eval: [('GET /identity') x @::names]
--- more_headers eval: [map {"X-Member: $_"} @::names]
--- response_body_filters eval
sub { vouched_for($_[0]) . "\n" }
--- response_body eval: [map { written($_) . "\n" } @::names]



=== TEST 6: nginx vouches for nobody by itself, and passes on nobody else's word
--- http_config eval: $::identity
--- config eval: $::ask . '}'
--- only: module
--- pipelined_requests eval: [('GET /identity') x 2]
--- more_headers eval
['X-Seckill-Identity: li.1.k2.x', cookie('li')]
--- response_body eval: ['', '']
