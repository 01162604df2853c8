use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillRedis qw(offer);
use SeckillClick qw(click answer status_of);

our $paths = 'location ~ ^/api/rounds/[^/]+/products/[^/]+/path$ { seckill_path; }'
    . 'location ~ ^/api/rounds/[^/]+/products/[^/]+/state$ { seckill_state; }';
our $all  = $paths . gate_location();
our $page = 'GET /api/rounds/1/products/153/state';

# The catalogue entry of the product, with this halt, while the edge runs.
sub halt {
    my ($halt, %more) = @_;
    my $now = int(1000 * Time::HiRes::time());
    offer('1', '153', opens => $now - 10_000, ends => $now + 3_600_000, limit => 100, halt => $halt, %more);
    return;
}

# The code with which the gate refuses a new buyer, once it is this one.
my $buyers = 0;
sub refused_with {
    my ($code) = @_;
    my $last = '';
    SeckillTest::eventually(sub {
        ($last) = answer(click('stop' . $buyers++)) =~ /"code":"(\w+)"/;
        ($last //= 'admitted') eq $code;
    }, 30);
    return "$last\n";
}

run_tests();

__DATA__

=== TEST 1: a paused product is refused by that name, for its URL and for the purchase
--- sale
1 153 halt=paused
--- config eval: $::all
--- request
GET /api/rounds/1/products/153/path
--- more_headers eval: cookie('li')
--- error_code: 410
--- response_body_like: "code":"paused"



=== TEST 2: waiting pages say that it is paused
--- sale
1 153 halt=paused
--- config eval: $::all
--- request eval: $::page
--- error_code: 200
--- response_body_like: ^\{"state":"paused","now_ms":\d{13},"opens_ms":\d{13},"ends_ms":\d{13}\}\s*$



=== TEST 3: a pause also holds before the opening
--- sale
1 153 opens=+50s halt=paused
--- config eval: $::all
--- request eval: $::page
--- response_body_like: "state":"paused"



=== TEST 4: what was withdrawn is refused by that name, also after its end
--- sale
1 153 opens=-10s ends=-5s halt=withdrawn
--- config eval: $::all
--- request
GET /api/rounds/1/products/153/path
--- more_headers eval: cookie('li')
--- error_code: 410
--- response_body_like: "code":"withdrawn"



=== TEST 5: a round that is over is over, paused or not
--- sale
1 153 opens=-10s ends=-5s halt=paused
--- config eval: $::all
--- request eval: $::page
--- response_body_like: "state":"ended"



=== TEST 6: a running sale stops, goes on, and stops for good, while the edge holds permits
--- sale
1 153 limit=100
--- config eval: $::all
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    main::refused_with('admitted')
        . do { main::halt('paused'); main::refused_with('paused') }
        . do { main::halt(undef); main::refused_with('admitted') }
        . do { main::halt('withdrawn'); main::refused_with('withdrawn') };
}
--- response_body
admitted
paused
admitted
withdrawn
