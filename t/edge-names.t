use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(status_of metric log_has);
use SeckillEdge qw(second_edge end_edge get_at);
use SeckillServers ();

# Which edge is which: names, random identities, and what two of one name are.

our $server = 'location ~ /state$ { seckill_state; } location = /metrics { seckill_status; }' . gate_location('seckill_rate rate=100r/s burst=100 scope=site;');

sub edge_of { get_at($_[0]{port}, '/metrics') =~ /^\Q$_[1]\E (\S+)\r?$/m ? $1 : undef }
sub told { return CORE::join "\n", @_, '' }

run_tests();

__DATA__

=== TEST 1: two edges of one name are two, share the rate as two, and are both told
--- sale
1 153 limit=1000
--- http_config eval: http_config('seckill_node twin;')
--- config eval: $::server
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $other = SeckillEdge::second_edge(SeckillTest::http_config('seckill_node twin;'), $main::server);
    my @seen = SeckillTest::eventually(sub { main::metric('seckill_edges') == 2 }) ? 'two edges' : main::metric('seckill_edges') . ' edge';
    push @seen, SeckillTest::eventually(sub { main::edge_of($other, 'seckill_edges') == 2 }) ? 'two there' : 'one there';
    push @seen, SeckillTest::eventually(sub { main::metric('seckill_edges_same_name') == 1 }) ? 'one namesake' : 'no namesake';
    my @names = map { SeckillEdge::get_at($_, '/metrics') =~ /^seckill_edge_info\{edge="twin\.([0-9a-f]+)"\} 1\r?$/m ? $1 : 'none' }
        $ENV{TEST_NGINX_SERVER_PORT}, $$other{port};
    push @seen, $names[0] ne $names[1] ? 'two identities' : "the same identity $names[0]";
    push @seen, SeckillTest::eventually(sub { main::log_has('error.log', "2 edges are called twin: this one is twin.$names[0] on .* others are twin.$names[1] on") })
        ? 'both in the log' : 'not in the log';
    # Half of the burst each.
    push @seen, SeckillTest::eventually(sub { SeckillEdge::get_at($ENV{TEST_NGINX_SERVER_PORT}, '/metrics') =~ /^seckill_bucket_level\{bucket="0"\} 50\r?$/m }) ? 'half the rate' : 'the whole rate';
    SeckillEdge::end_edge($other);
    push @seen, SeckillTest::eventually(sub { main::metric('seckill_edges') == 1 && main::metric('seckill_edges_same_name') == 0 }) ? 'alone again' : 'still two';
    return main::told(@seen);
}
--- response_body
two edges
two there
one namesake
two identities
both in the log
half the rate
alone again
--- error_log: no other edge is called twin any more



=== TEST 2: their leases are two
--- sale
1 153 limit=1000
--- http_config eval: http_config('seckill_node twin;')
--- config eval: $::server
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $other = SeckillEdge::second_edge(SeckillTest::http_config('seckill_node twin;'), $main::server);
    my $there = sub { local $ENV{TEST_NGINX_SERVER_PORT} = $$other{port}; main::status_of(shift) == 202 };
    my %leases;
    my $n = 0;
    my $note = sub { $leases{$_} = 1 for map { /^twin\.([0-9a-f]+)-/ ? $1 : () } @{ redis('HKEYS', 'seckill::{1::153}::leases') } };
    SeckillTest::eventually(sub { main::status_of('a' . ++$n); $note->(); $there->('b' . $n); $note->(); keys %leases == 2 });
    SeckillEdge::end_edge($other);
    return keys(%leases) . " makers\n";
}
--- response_body
2 makers
--- allow_errors



=== TEST 3: a reload with another Redis: the new one counts, and permits of the old one are not spent
--- sale
1 153 limit=1000
--- config eval: $::server
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $before = main::status_of('before');
    my $new = SeckillServers::server('127.0.0.1', SeckillServers::free_port());
    SeckillServers::sell($new, 5);
    my $file = "$ENV{TEST_NGINX_SERVROOT}/conf/nginx.conf";
    open my $in, '<', $file or die $!;
    my $text = do { local $/; <$in> };
    $text =~ s/seckill_redis \S+/seckill_redis $$new{at}/;
    open my $out, '>', $file or die $!;
    print $out $text;
    close $out;
    # A long poll holds the old worker for a while.
    my ($old) = split ' ', `pgrep -P @{[ SeckillClick::edge_pid() ]}`;
    my $held = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $ENV{TEST_NGINX_SERVER_PORT});
    print $held "POST /buy/ HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\n";
    SeckillClick::reload();
    SeckillTest::eventually(sub { SeckillServers::ask($new, 'ZCARD', 'seckill::edges') });
    # What the old Redis says from now on is of no account.
    redis('HSET', 'seckill::catalogue', 'version', 99, '1::154', redis('HGET', 'seckill::catalogue', '1::153'));
    my %count;
    SeckillTest::eventually(sub { $count{main::status_of('after' . int rand 1e9)}++; ($count{202} // 0) == 5 && ($count{410} // 0) > 5 });
    my $granted = SeckillServers::ask($new, 'GET', 'seckill::{1::153}::permits');
    my $left_out = SeckillClick::get('/api/rounds/1/products/154/state') =~ /"state"/ ? 'the old catalogue' : 'the new catalogue';
    return main::told($before, ($count{202} // 0) . ' bought', "$granted granted", $left_out);
}
--- response_body
202
5 bought
5 granted
the new catalogue
--- allow_errors



=== TEST 4: a reload with another name: what the edge holds and keeps is sold on the leases that Redis knows
--- sale
1 153 limit=40
--- http_config eval: http_config('seckill_node before;')
--- config eval: gate_location('seckill_fallback pass;') . ' location = /metrics { seckill_status; }'
--- request: GET /metrics
--- response_body_filters eval
sub {
    my $keeps = sub { SeckillTest::eventually(sub { main::metric('seckill_permits_kept') == 40 }, 20) ? 'keeps 40' : 'keeps ' . main::metric('seckill_permits_kept') };
    my @seen = $keeps->();
    my $file = "$ENV{TEST_NGINX_SERVROOT}/conf/nginx.conf";
    open my $in, '<', $file or die $!;
    my $text = do { local $/; <$in> };
    $text =~ s/seckill_node before/seckill_node after/;
    open my $out, '>', $file or die $!;
    print $out $text;
    close $out;
    SeckillClick::reload();
    push @seen, SeckillTest::eventually(sub { SeckillClick::get('/metrics') =~ /seckill_edge_info\{edge="after\./ }) ? 'renamed' : 'not renamed';
    push @seen, $keeps->();
    my (%told, %leases);
    SeckillTest::eventually(sub {
        my $answer = SeckillClick::answer(SeckillClick::click('buyer' . ++$told{clicks}));
        $told{$1}++ if $answer =~ m{^HTTP/1\.1 (\d+)};
        $leases{$1} = 1 if $answer =~ /permit=(\w+)\./;
        return ($told{202} // 0) == 40 && ($told{410} // 0) > 0;
    }, 20);
    push @seen, ($told{202} // 0) . ' sold on leases of ' . CORE::join(' and ', sort keys %leases);
    push @seen, SeckillTest::eventually(sub { redis('GET', 'seckill::{1::153}::permits') == 40 && redis('HLEN', 'seckill::{1::153}::leases') == 0 }, 20) ? 'settled' : 'left open';
    return main::told(@seen);
}
--- response_body
keeps 40
renamed
keeps 40
40 sold on leases of before
settled
--- allow_errors
