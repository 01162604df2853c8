use lib 't/lib';
use SeckillTest 'no_plan';

our $gate = gate_location() . ' location = /metrics { seckill_status; }';

run_tests();

__DATA__

=== TEST 1: a second click is refused at the edge and takes no permit
--- sale
1 153 limit=10
--- config eval: $::gate
--- pipelined_requests eval: [map {"POST " . hidden_path('li', '1', '153')} 1 .. 3]
--- more_headers eval: [map { cookie('li') } 1 .. 3]
--- error_code eval: [202, 409, 409]
--- response_body_like eval: [qr/^permit=/, (qr/"code":"duplicate"/) x 2]



=== TEST 2: the same request may come again, to get the same answer
--- sale
1 153 limit=10
--- config eval: $::gate
--- pipelined_requests eval: [map {"POST " . hidden_path('li', '1', '153')} 1 .. 3]
--- more_headers eval: [map { cookie('li') . "\nIdempotency-Key: $_" } qw(one one two)]
--- error_code eval: [202, 202, 409]



=== TEST 3: another product and another buyer are no second click
--- sale
1 153 limit=10
1 154 limit=10
--- config eval: $::gate
--- pipelined_requests eval: ['POST ' . hidden_path('li', '1', '153'), 'POST ' . hidden_path('li', '1', '154'), 'POST ' . hidden_path('wang', '1', '153')]
--- more_headers eval: [cookie('li'), cookie('li'), cookie('wang')]
--- error_code eval: [202, 202, 202]



=== TEST 4: whom the back end could not serve may click again at once
--- sale
1 153 limit=10
--- config eval: $::gate =~ s{proxy_pass .*?;}{proxy_pass http://unix:/nowhere.sock;}r
--- allow_errors
--- pipelined_requests eval: [map {"POST " . hidden_path('li', '1', '153')} 1 .. 2]
--- more_headers eval: [map { cookie('li') } 1 .. 2]
--- error_code eval: [503, 503]
--- response_body_like eval: [(qr/"code":"unavailable"/) x 2]
