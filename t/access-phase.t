use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(click_with answer status_of metric);

# The gate among nginx's other access checks: it runs last, finalizes by itself, and its
# responses fit into pages that others compose.
our $metrics = 'location = /metrics { seckill_status; }';

# The guarded location with these directives, and a client that the test's own
# directives refuse.
sub gate { gate_location(shift) . " $metrics " . (shift // '') }

sub permits { redis('GET', 'seckill::{1::153}::permits') // 0 }

# Answers for the shop's login: who it is stands in the header X-Token.
our $login = <<'_CONFIG_';
location = /login {
    internal;
    proxy_pass_request_body off;
    proxy_set_header Content-Length "";
    proxy_pass http://shop_login;
}
_CONFIG_
our $login_server = <<'_CONFIG_';
upstream shop_login { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    location / {
        if ($http_x_token = "") { return 401; }
        add_header X-Member $http_x_token;
        return 204;
    }
}
_CONFIG_

run_tests();

__DATA__

=== TEST 1: who is denied spends no permit
--- sale
1 153 limit=5
--- config eval: main::gate('deny all;')
--- request: GET /metrics
--- allow_errors
--- response_body_filters eval
sub {
    my @statuses = map { main::status_of("buyer$_") } 1 .. 3;
    return "@statuses, permits " . main::permits() . ', admitted ' . main::metric('seckill_admitted_total') . "\n";
}
--- response_body
403 403 403, permits 0, admitted 0



=== TEST 2: the user that auth_request brings is the buyer
--- sale
1 153 limit=5
--- http_config eval: http_config($::login_server)
--- config eval: main::gate('auth_request /login; auth_request_set $member $upstream_http_x_member; seckill_user $member;', $::login)
--- request: GET /metrics
--- allow_errors
--- response_body_filters eval
sub {
    my $told = sub { SeckillClick::answer(SeckillClick::click_with('li', @_)) =~ m{^HTTP/1\.1 (\d+)} ? $1 : 0 };
    my $without = $told->();
    my $permits = main::permits();
    return "$without, permits $permits, " . $told->('X-Token: wang') . ', ' . $told->('X-Token: li') . "\n";
}
--- response_body
401, permits 0, 403, 202



=== TEST 3: satisfy any beside a gate is refused with the cure
--- config
location /buy/ { satisfy any; allow all; seckill_gate on; return 204; }
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_gate and "satisfy any" .* write "satisfy all;" there/]



=== TEST 4: also where it is inherited
--- config
satisfy any;
location /buy/ { seckill_gate on; return 204; }
--- must_die
--- error_log: "satisfy any"



=== TEST 5: satisfy any elsewhere is nobody's business
--- sale
1 153 limit=5
--- config eval: main::gate('satisfy all;', 'location /else/ { satisfy any; allow all; return 204; }')
--- request eval: 'POST ' . hidden_path('li', '1', '153')
--- more_headers eval: cookie('li')
--- error_code: 202



=== TEST 6: an error page of the operator's does not let a refused request pass
--- sale
1 153 limit=5
--- config eval
gate_location('error_page 403 = @own;') . 'location @own { return 200 "own page\n"; }'
--- request eval: 'POST ' . hidden_path('li', '1', '153')
--- more_headers eval: cookie('wang')
--- error_code: 200
--- response_body
own page



=== TEST 7: a response of the module in a page that others compose does not cut it
--- sale
1 153 limit=5
--- config
location = /page {
    ssi on;
    default_type text/html;
    return 200 '<p><!--# include virtual="/api/time" --></p><p><!--# include virtual="/api/rounds/1/products/153/state" --></p><!-- end -->';
}
location = /api/time { seckill_time; }
location ~ /state$ { seckill_state; }
--- request: GET /page
--- response_body_like: ^<p>\{"now_ms":\d+\}</p><p>\{"state":"open".*\}</p><!-- end -->$



=== TEST 8: in front of a page and behind it
--- sale
1 153 limit=5
--- config
location = /page {
    default_type text/html;
    add_before_body /api/time;
    add_after_body /api/rounds/1/products/999/state;
    return 200 "page\n";
}
location = /api/time { seckill_time; }
location ~ /state$ { seckill_state; }
--- request: GET /page
--- response_body_like: ^\{"now_ms":\d+\}page\s+\{"code":"not_found".*\}$



=== TEST 9: a shopper who has left before their click is looked at takes no permit
--- sale
1 153 limit=50
--- http_config eval
(my $patient = http_config()) =~ s/(seckill_redis [^;]+) timeout=\w+/$1 timeout=20s/; $patient
--- config eval: main::gate('', 'access_log logs/access.log seckill_json;')
--- allow_errors
--- request: GET /metrics
--- response_body_filters eval
sub {
    redis_freeze();
    for my $number (1 .. 10) {
        my $edge = SeckillClick::click("gone$number");
        # Closed in the same moment, so that the end is there before the click is parked.
        close $edge;
    }
    my $have_left = SeckillTest::eventually(sub { SeckillClick::log_has('access.log', '"status":499') == 10 });
    redis_thaw();
    return "they stayed parked\n" if !$have_left;
    SeckillTest::eventually(sub { main::metric('seckill_parked') == 0 });
    return "noticed\n";
}
--- response_body
noticed
