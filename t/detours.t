use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(click click_with answer metric log_has);

# Clicks that nginx sends around: parts of a page, access checks in Lua, error pages. What
# became of the permit is judged by what the back end said, and only by that.
our $metrics = 'location = /metrics { seckill_status; }';
our $gate    = gate_location();

# The guarded location with these directives, and others of the server.
sub gate { gate_location(shift) . " $metrics " . (shift // '') }

# The back end of the suites with these directives, and more of http{}.
sub backed_by {
    my ($directives, $more) = @_;
    (my $config = http_config($more // '')) =~ s/add_header X-Seckill-Outcome used always;\s*return 202 [^;]*;/$directives/
        or die "the back end of the suites has changed\n";
    return $config;
}

sub permits { redis('GET', 'seckill::{1::153}::permits') // 0 }
sub leases { redis('HLEN', 'seckill::{1::153}::leases') }

# Waits until Redis counts $n permits as granted and no lease is open.
sub settles_at {
    my ($n) = @_;
    return (SeckillTest::eventually { permits() == $n && leases() == 0 } 10) ? "settled at $n" : 'permits ' . permits() . ' leases ' . leases();
}

# The statuses of clicks with these headers, one by each buyer.
sub told {
    my ($headers, @buyers) = @_;
    return CORE::join ' ', map { answer(click_with($_, cookie($_), @$headers)) =~ m{^HTTP/1\.1 (\d+)} ? $1 : 'nothing' } @buyers;
}

# The winners that Redis lists.
sub winners { redis('STRLEN', 'seckill::{1::153}::winners') / 8 }

run_tests();

__DATA__

=== TEST 1: the log of a subrequest does not decide about the purchase
--- sale
1 153 limit=3
--- http_config eval: http_config('log_subrequest on;')
--- config eval: main::gate('mirror /mirror;', 'location = /mirror { internal; proxy_pass http://127.0.0.1:1; }')
--- allow_errors
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $sold = main::told([], map {"buyer$_"} 1 .. 3);
    my $settled = main::settles_at(3);
    my ($more) = main::told([], 'buyer4') =~ /^(410|429)$/ ? 'refused' : 'sold again';
    return "$sold, $settled, $more, returned " . main::metric('seckill_permits_returned_total') . "\n";
}
--- response_body
202 202 202, settled at 3, refused, returned 0



=== TEST 2: nor does it make a captcha pass valid again
--- sale
1 153 limit=30 per_buyer=5
--- http_config eval: http_config('log_subrequest on;')
--- config eval: main::gate('seckill_captcha on; mirror /mirror;', 'location = /mirror { internal; proxy_pass http://127.0.0.1:1; }')
--- allow_errors
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $pass = SeckillTest::captcha('li', '1', '153');
    return CORE::join(' ', map { main::told([$pass, "Idempotency-Key: key-$_"], 'li') } 1 .. 4) . "\n";
}
--- response_body
202 403 403 403



=== TEST 3: one winner is listed once
--- sale
1 153 limit=3
--- http_config eval: main::backed_by('if ($uri ~ mirror) { return 200; } content_by_lua_block { ngx.sleep(0.2) ngx.header["X-Seckill-Outcome"] = "used" ngx.status = 202 ngx.say("bought") }', 'log_subrequest on;')
--- config eval: main::gate('mirror /mirror;', 'location = /mirror { internal; proxy_pass http://seckill_purchase/mirror; }')
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $sold = main::told([], map {"buyer$_"} 1 .. 3);
    return "$sold, " . main::settles_at(3) . ', winners ' . main::winners() . "\n";
}
--- response_body
202 202 202, settled at 3, winners 3



=== TEST 4: who is refused by Lua's access check, which runs behind the gate, costs no permit
--- sale
1 153 limit=3
--- config eval: main::gate('access_by_lua_block { if ngx.var.http_x_bad then ngx.exit(tonumber(ngx.var.http_x_bad)) end }')
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $bad = main::told(['X-Bad: 403'], map {"bad$_"} 1 .. 4);
    my $answered = main::told(['X-Bad: 200'], map {"cached$_"} 1 .. 2);
    my $settled = main::settles_at(0);
    # The same shoppers, once they are let in.
    return "$bad, $answered, $settled, then " . main::told([], 'bad1', 'cached1', 'good') . ', ' . main::settles_at(3) . "\n";
}
--- response_body
403 403 403 403, 200 200, settled at 0, then 202 202 202, settled at 3



=== TEST 5: nor a captcha pass
--- sale
1 153 limit=3
--- config eval: main::gate('seckill_captcha on; access_by_lua_block { if ngx.var.http_x_bad then ngx.exit(403) end }')
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $pass = SeckillTest::captcha('li', '1', '153');
    return main::told([$pass, 'X-Bad: 1'], 'li') . ' ' . main::told([$pass], 'li') . ' ' . main::told([$pass, 'Idempotency-Key: other'], 'li') . "\n";
}
--- response_body
403 202 403



=== TEST 6: a buyer whom Lua names before the gate is the buyer
--- sale
1 153 limit=3
--- config eval: main::gate('set $member ""; rewrite_by_lua_block { ngx.var.member = ngx.var.http_x_member } seckill_user $member;')
--- request: GET /metrics
--- response_body_filters eval
sub { return main::told(['X-Member: li'], 'li') . ' ' . main::told(['X-Member: wang'], 'li') . "\n" }
--- response_body
202 403



=== TEST 7: a file that is not there and a code in its place
--- sale
1 153 limit=3
--- config eval: main::gate('try_files /nothing =404;')
--- request: GET /metrics
--- response_body_filters eval
sub { return main::told([], map {"buyer$_"} 1 .. 4) . ', ' . main::settles_at(0) . "\n" }
--- response_body
404 404 404 404, settled at 0



=== TEST 8: the first back end cannot be reached, and the second says that nothing was bought
--- sale
1 153 limit=3
--- http_config eval: main::backed_by('add_header X-Seckill-Outcome unused always; return 400 "refused";')
--- config eval: main::gate('error_page 502 = @second;', 'location @second { proxy_pass http://seckill_purchase; }') =~ s{(?<=proxy_pass         )http://seckill_purchase}{http://127.0.0.1:1}r
--- allow_errors
--- request: GET /metrics
--- response_body_filters eval
sub { return main::told([], map {"buyer$_"} 1 .. 4) . ', ' . main::settles_at(0) . "\n" }
--- response_body
400 400 400 400, settled at 0



=== TEST 9: two say in turn that nothing was bought
--- sale
1 153 limit=3
--- http_config eval: main::backed_by('add_header X-Seckill-Outcome unused always; return 503 "refused";')
--- config eval: main::gate('proxy_intercept_errors on; error_page 503 = @second;', 'location @second { proxy_pass http://seckill_purchase; }')
--- request: GET /metrics
--- response_body_filters eval
sub { return main::told([], map {"buyer$_"} 1 .. 4) . ', ' . main::settles_at(0) . "\n" }
--- response_body
503 503 503 503, settled at 0



=== TEST 10: one says so, and the next cannot be reached
--- sale
1 153 limit=3
--- http_config eval: main::backed_by('add_header X-Seckill-Outcome unused always; return 503 "refused";')
--- config eval: main::gate('proxy_intercept_errors on; error_page 503 = @second;', 'location @second { proxy_pass http://127.0.0.1:1; }')
--- allow_errors
--- request: GET /metrics
--- response_body_filters eval
sub { return main::told([], map {"buyer$_"} 1 .. 4) . ', ' . main::settles_at(0) . "\n" }
--- response_body
502 502 502 502, settled at 0



=== TEST 11: what the first has bought stays bought, whatever the second says
--- sale
1 153 limit=3
--- http_config eval: main::backed_by('if ($http_x_second) { return 400 "refused"; } add_header X-Seckill-Outcome used always; return 503 "bought";')
--- config eval: main::gate('proxy_intercept_errors on; error_page 503 = @second;', 'location @second { proxy_set_header X-Second 1; proxy_pass http://seckill_purchase; }')
--- request: GET /metrics
--- response_body_filters eval
sub { return main::told([], map {"buyer$_"} 1 .. 3) . ', ' . main::settles_at(3) . "\n" }
--- response_body
400 400 400, settled at 3



=== TEST 12: a page in place of "duplicate" does not hide who has one already
--- sale
1 153 limit=9
--- http_config eval: main::backed_by('add_header X-Seckill-Outcome unused always; return 409 "duplicate";')
--- config eval: main::gate('proxy_intercept_errors on; error_page 409 =200 @page;', 'location @page { return 200 "you have one"; }')
--- request: GET /metrics
--- response_body_filters eval
sub {
    main::told([], map {'li'} 1 .. 5);
    return 'admitted ' . main::metric('seckill_admitted_total') . ', ' . main::settles_at(0) . "\n";
}
--- response_body
admitted 1, settled at 0



=== TEST 13: nor does a status that Lua writes
--- sale
1 153 limit=9
--- http_config eval: main::backed_by('add_header X-Seckill-Outcome unused always; return 409 "duplicate";')
--- config eval: main::gate('header_filter_by_lua_block { ngx.status = 200 }')
--- request: GET /metrics
--- response_body_filters eval
sub {
    main::told([], map {'li'} 1 .. 5);
    return 'admitted ' . main::metric('seckill_admitted_total') . ', ' . main::settles_at(0) . "\n";
}
--- response_body
admitted 1, settled at 0



=== TEST 14: a request behind the response decides nothing
--- sale
1 153 limit=3 per_buyer=5
--- config eval: main::gate('seckill_captcha on; post_action /done;', 'location = /done { internal; proxy_pass http://127.0.0.1:1; }')
--- allow_errors
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $pass = SeckillTest::captcha('li', '1', '153');
    return CORE::join(' ', map { main::told([$pass, "Idempotency-Key: key-$_"], 'li') } 1 .. 3) . ', ' . main::settles_at(1) . "\n";
}
--- response_body
202 403 403, settled at 1
