use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(answer);
use IO::Socket::INET;

# Also runs under valgrind

our $gate = gate_location('seckill_captcha on;');

# Clicks of li on product 153, each with its own header lines.
sub li { ('POST ' . hidden_path('li', '1', '153')) x shift }
sub with { [map { cookie('li') . "\n$_" } @_] }

# One click: its status and code.
sub click {
    my ($user, @lines) = @_;
    my $edge = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $ENV{TEST_NGINX_SERVER_PORT}) or return 0;
    my ($path, $cookie) = (hidden_path($user, '1', '153'), cookie($user));
    print $edge join "\r\n", "POST $path HTTP/1.1", 'Host: shop', $cookie, @lines, 'Connection: close', '', '';
    my $answer = answer($edge);
    return join ' ', ($answer =~ m{^HTTP/1\.1 (\d+)})[0] // 0, $answer =~ /"code":"(\w+)"/;
}

# What a block saw, as one line.
sub summary { return join(', ', @_) . "\n" }

run_tests();

__DATA__

=== TEST 1: a buyer with a pass of their own is admitted
--- sale
1 153 limit=10
--- config eval: $::gate
--- request eval: main::li(1)
--- more_headers eval: main::with(captcha('li', '1', '153'))->[0]
--- error_code: 202



=== TEST 2: without a pass, with garbage, and with another buyer's or product's pass, nobody is
--- sale
1 153 limit=10
--- config eval: $::gate
--- pipelined_requests eval: [main::li(8)]
--- more_headers eval
main::with(
    'X-Unrelated: 1', 'X-Seckill-Captcha: ', 'X-Seckill-Captcha: garbage',
    captcha('wang', '1', '153'), captcha('li', '1', '154'), captcha('li', '2', '153'),
    captcha('li', '1', '153', secret => 'guessed-' x 5), captcha('li', '1', '153', purpose => 'path'),
)
--- error_code eval: [(403) x 8]
--- response_body_like eval: [(qr/"code":"captcha_required"/) x 8]



=== TEST 3: a pass that has expired, and one that is valid for longer than the back end issues
--- sale
1 153 limit=10
--- config eval: $::gate
--- pipelined_requests eval: [main::li(2)]
--- more_headers eval: main::with(captcha('li', '1', '153', expires => now_ms() - 1), captcha('li', '1', '153', expires => now_ms() + 3_600_000))
--- error_code eval: [403, 403]
--- response_body_like eval: [(qr/"code":"captcha_required"/) x 2]



=== TEST 4: a pass is spent once; the same request may repeat it
--- sale
1 153 limit=10
--- config eval: $::gate
--- pipelined_requests eval: [main::li(4)]
--- more_headers eval
my $pass = captcha('li', '1', '153', nonce => '0123456789abcdef');
main::with("$pass\nIdempotency-Key: one", "$pass\nIdempotency-Key: one", "$pass\nIdempotency-Key: two", $pass)
--- error_code eval: [202, 202, 403, 403]
--- response_body_like eval: [qr/^permit=/, qr/^permit=/, (qr/"code":"captcha_required"/) x 2]



=== TEST 5: a new pass does not make a second click a first one
--- sale
1 153 limit=10
--- config eval: $::gate
--- pipelined_requests eval: [main::li(2)]
--- more_headers eval: main::with(captcha('li', '1', '153'), captcha('li', '1', '153'))
--- error_code eval: [202, 409]



=== TEST 6: the pass is checked after shape, expiry, signature, session and window
--- sale
1 153 limit=10
1 154 opens=+600s ends=+1h
--- config eval: $::gate
--- pipelined_requests eval
['GET ' . hidden_path('li', '1', '153'), 'POST ' . hidden_path('li', '1', '153', expires => now_ms() - 1),
 'POST ' . hidden_path('wang', '1', '153'), 'POST ' . hidden_path('li', '1', '154'), 'POST ' . hidden_path('li', '1', '153')]
--- more_headers eval: [(cookie('li')) x 5]
--- error_code eval: [400, 403, 403, 425, 403]
--- response_body_like eval: [map {qr/"code":"$_"/} qw(bad_request expired bad_signature too_early captcha_required)]



=== TEST 7: a pass stays valid after a refusal as busy
--- sale
1 153 limit=50
--- config eval: gate_location('seckill_captcha on; seckill_rate rate=2r/s burst=1;')
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my ($said, $last) = ('');
    # A machine that is too slow for two clicks in half a second refuses neither:
    # others try then.
    for my $n (1 .. 20) {
        my $pass = captcha("li$n", '1', '153', nonce => 'a' x 16);
        my ($first, $second);
        SeckillTest::eventually(sub { ($first = main::click("wang$n", captcha("wang$n", '1', '153'))) ne '429 busy' });
        $said = join ', ', $first, $second = main::click("li$n", $pass);
        next if $second ne '429 busy';
        SeckillTest::eventually(sub { ($last = main::click("li$n", $pass)) ne '429 busy' });
        last;
    }
    return main::summary($said, $last // 'never busy');
}
--- response_body
202, 429 busy, 202



=== TEST 8: a pass stays valid after a refusal as sold out
--- sale
1 153 limit=1
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my $pass = captcha('li', '1', '153', nonce => 'b' x 16);
    my @said = (main::click('wang', captcha('wang', '1', '153')), main::click('li', $pass));
    redis('HSET', 'seckill::{1::153}::info', limit => 2);
    redis('DECRBY', 'seckill::{1::153}::permits', 1);
    my $last;
    SeckillTest::eventually(sub { ($last = main::click('li', $pass)) ne '410 sold_out' });
    return main::summary(@said, $last);
}
--- response_body
202, 410 sold_out, 202



=== TEST 9: a pass is valid again if the back end could not sell, and not if it reports the pass as spent
--- sale
1 153 limit=10
--- http_config eval: http_config() =~ s{return 202 [^;]*;}{if (\$http_x_try = 410) { return 410; } if (\$http_x_try = 403) { return 403; } return 202 ok;}r
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my ($good, $bad) = map { captcha($_, '1', '153', nonce => 'c' x 16) } qw(li wang);
    my @said = map { main::click(@$_) } ['li', $good, 'X-Try: 410'], ['li', $good], ['wang', $bad, 'X-Try: 403'], ['wang', $bad];
    return main::summary(@said);
}
--- response_body
410, 202, 403, 403 captcha_required



=== TEST 10: spent passes outlive a reload
--- sale
1 153 limit=10
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my $pass = captcha('li', '1', '153', nonce => 'e' x 16);
    my $first = main::click('li', $pass);
    my $master = SeckillClick::edge_pid();
    my ($old) = split ' ', `pgrep -P $master`;
    SeckillClick::reload();
    SeckillTest::eventually(sub { my @now = split ' ', `pgrep -P $master`; @now && !grep { $_ == $old } @now }, 30) or return "not reloaded\n";
    my $again;
    SeckillTest::eventually(sub { ($again = main::click('li', $pass)) !~ /503/ });
    return "$first, $again\n";
}
--- response_body
202, 403 captcha_required



=== TEST 11: seckill_captcha is inherited from the server, and off in a location
--- sale
1 153 limit=10
--- config eval: 'seckill_captcha on;' . gate_location('seckill_captcha off;')
--- request eval: main::li(1)
--- more_headers eval: cookie('li')
--- error_code: 202



=== TEST 12: a word that is neither on nor off
--- config
    location /buy/ { seckill_captcha maybe; proxy_pass http://seckill_purchase; }
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_captcha.*"maybe".*on or off/]



=== TEST 13: no pass stands in the access log
--- sale
1 153 limit=10
--- config eval: $::gate . 'access_log logs/shop.log seckill_json;'
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my $said = main::click('li', captcha('li', '1', '153', nonce => 'f' x 16));
    SeckillTest::eventually(sub { SeckillClick::log_has('shop.log', '"user":"li"') }) or return "no line\n";
    return "$said " . (SeckillClick::log_has('shop.log', 'f' x 16) ? 'logged' : 'not logged') . "\n";
}
--- response_body
202 not logged
