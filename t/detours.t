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
