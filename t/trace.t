use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillClick qw(post answer);
use SeckillSign ();

# Traces at the edge: which context the back end gets with a purchase, what the gate
# reports of a sampled one, and what the access log may name.
our $echo = 'add_header X-Seckill-Outcome used always; return 202 "'
    . 'traceparent=$http_traceparent report=$http_x_seckill_trace request=$http_x_request_id\n";';
our $echoing = do {
    (my $config = http_config()) =~ s/add_header X-Seckill-Outcome used always;\s*return 202 [^;]*;/$echo/
        or die "the back end of the suites has changed\n";
    $config;
};
our $theirs = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

sub gate { return gate_location("$_[0] add_header X-Trace-Id \$seckill_trace_id always;") . ' location = /time { seckill_time; }' }

# What the back end got with a click of this buyer on product 153, and the response's
# header with the variable for the log.
sub passed_on {
    my ($buyer, @headers) = @_;
    my ($head, $body) = split /\r\n\r\n/, answer(post(hidden_path($buyer, '1', '153'), cookie($buyer), @headers)), 2;
    my %got = map { split /=/, $_, 2 } grep {/=/} split ' ', $body // '';
    ($got{logged}) = $head =~ /^X-Trace-Id: (\S+)\r?$/m;
    ($got{status}) = $head =~ m{^HTTP/1\.1 (\d+)};
    $got{$_} //= '' for qw(traceparent report logged);
    ($got{trace}, $got{span}, $got{flags}) = $got{traceparent} =~ /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
    return \%got;
}

# The response to a click with a session that nobody has signed.
sub refused { return answer(post(hidden_path('li', '1', '153'), 'Cookie: seckill_session=forged')) }

# Whether the report is the gate's own word for this context and request; with its parent.
sub report {
    my ($got) = @_;
    return 'none' if $got->{report} eq '';
    my ($begin, $end, $parent, $kid, $text) = split /\./, $got->{report};
    return 'not signed' if $text ne SeckillSign::_hmac($KEYS{$kid}, 'trace', $got->{traceparent}, $got->{request}, "$begin.$end.$parent");
    my $now_us = now_ms() * 1000;
    return 'no times' if $begin > $end || $end > $now_us + 1000 || $begin < $now_us - 600_000_000;
    return "signed, below $parent";
}

sub summary {
    my ($got) = @_;
    my $whose = $got->{traceparent} eq '' ? 'no trace' : ($got->{trace} // '') eq substr($theirs, 3, 32) ? 'theirs' : 'own';
    my $logged = $got->{logged} eq '' ? 'not logged' : $got->{logged} eq $got->{trace} ? 'logged' : 'another logged';
    my $span = ($got->{span} // '') eq substr($theirs, 36, 16) ? 'their span' : 'own span';
    return join(', ', $whose, $span, $got->{flags} // 'none', 'report ' . report($got), $logged) . "\n";
}

run_tests();

__DATA__

=== TEST 1: without the directive, and with off, a client's header passes as it came
--- sale
1 153 limit=5
--- http_config eval: $::echoing
--- config eval: main::gate('')
--- request: GET /time
--- response_body_filters eval
sub { main::summary(main::passed_on('li', "traceparent: $::theirs")) . main::summary(main::passed_on('wang')) }
--- response_body
theirs, their span, 01, report none, not logged
no trace, own span, none, report none, not logged



=== TEST 2: a stranger's trace is replaced by one of this edge, sampled by its own ratio
--- sale
1 153 limit=5
--- http_config eval: $::echoing
--- config eval: main::gate('seckill_trace on ratio=1;')
--- request: GET /time
--- response_body_filters eval
sub { main::summary(main::passed_on('li', "traceparent: $::theirs")) . main::summary(main::passed_on('wang')) }
--- response_body
own, own span, 01, report signed, below 0000000000000000, logged
own, own span, 01, report signed, below 0000000000000000, logged



=== TEST 3: what is not sampled has an id for the log, and no report
--- sale
1 153 limit=5
--- http_config eval: $::echoing
--- config eval: main::gate('seckill_trace on ratio=0;')
--- request: GET /time
--- response_body_filters eval
sub { main::summary(main::passed_on('li', "traceparent: $::theirs")) }
--- response_body
own, own span, 00, report none, logged



=== TEST 4: a trusted proxy's trace is continued, with its decision
--- sale
1 153 limit=5
--- http_config eval: $::echoing
--- config eval: main::gate('seckill_trace trusted ratio=0;')
--- request: GET /time
--- response_body_filters eval
sub {
    (my $unsampled = $::theirs) =~ s/01$/00/;
    return main::summary(main::passed_on('li', "Traceparent: $::theirs")) . main::summary(main::passed_on('wang', "traceparent: $unsampled"));
}
--- response_body
theirs, own span, 01, report signed, below 00f067aa0ba902b7, logged
theirs, own span, 00, report none, logged



=== TEST 5: of an invalid or duplicate header nothing is believed, and one header goes on
--- sale
1 153 limit=9
--- http_config eval: $::echoing
--- config eval: main::gate('seckill_trace trusted ratio=1;')
--- request: GET /time
--- response_body_filters eval
sub {
    my @bad = ("\U$::theirs", "ff$::theirs", substr($::theirs, 0, 54), '00-' . '0' x 32 . '-00f067aa0ba902b7-01', "$::theirs-more", '');
    my ($n, $text) = (0, '');
    $text .= main::summary(main::passed_on('u' . ++$n, "traceparent: $_")) for @bad;
    return $text . main::summary(main::passed_on('twice', "traceparent: $::theirs", "traceparent: $::theirs"));
}
--- response_body eval
"own, own span, 01, report signed, below 0000000000000000, logged\n" x 7



=== TEST 6: what the gate refuses has no trace
--- sale
1 153 limit=1
--- http_config eval: $::echoing
--- config eval: main::gate('seckill_trace on ratio=1;')
--- request: GET /time
--- response_body_filters eval
sub {
    my $answered = main::refused();
    my (undef, $status) = split ' ', $answered;
    return "$status " . ($answered =~ /X-Trace-Id/i ? 'traced' : 'not traced') . "\n";
}
--- response_body
401 not traced



=== TEST 7: the server's directive is inherited, and off in a location
--- sale
1 153 limit=5
--- http_config eval: $::echoing
--- config eval: 'seckill_trace on ratio=1;' . main::gate('seckill_trace off;')
--- request: GET /time
--- response_body_filters eval
sub { main::summary(main::passed_on('li')) }
--- response_body
no trace, own span, none, report none, not logged



=== TEST 8: a wrong argument is an error that says what would be right
--- config
    location /buy/ { seckill_trace on ratio=2; proxy_pass http://seckill_purchase; }
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_trace.*"ratio=2" must be a share from 0 to 1/]
