# Sessions and tokens that are revoked: refused at every edge, also where they are known.
use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillRedis qw(folder);
use SeckillClick qw(answer metric log_has);
use SeckillEdge qw(second_edge end_edge);
use Digest::SHA qw(hmac_sha256 sha256_hex);
use IO::Socket::INET;
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);
use Time::HiRes qw(time);

our $keys = folder() . '/jwks.json';
my $secret = 'a secret of thirty-two bytes and more';
open my $out, '>', $keys or die "$keys: $!\n";
print $out JSON::PP::encode_json({ keys => [{ kty => 'oct', kid => 'h1', k => encode_base64url($secret) }] });
close $out;
chmod 0600, $keys;

our $gate = gate_location("seckill_jwt jwks=$keys cookie=token;")
    . ' location = /metrics { seckill_status; } location ~ /path$ { seckill_path; }';
our $identity = http_config(<<'_CONFIG_');
    server {
        listen unix:$TEST_NGINX_SERVER_ROOT/identity.sock;
        location / { return 200 "$http_x_seckill_identity"; }
    }
_CONFIG_
our $named = " location = /identity { seckill_jwt jwks=$keys cookie=token;"
    . ' proxy_set_header X-Seckill-Identity $seckill_identity;'
    . ' proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/identity.sock; }';
our @list = map {"seckill::{revoked}::$_"} qw(list expiring changes version);

# A session of $user as the back end begins one, issued at this time; its cookie and its mark.
sub issued {
    my ($user, $issued) = @_;
    my $times = (now_ms() + 3_600_000) . '-' . ($issued // now_ms());
    return { user => $user, header => cookie($user, expires => $times), mark => mark('seckill session', $user, $times) };
}

# A token of the shop's own login; its header line, its mark and its jti.
sub token {
    my ($user, %claims) = @_;
    my $header = { alg => 'HS256', kid => 'h1' };
    my $claims = { sub => $user, exp => int(time) + 600, iat => int(time), %claims };
    my $signed = join '.', map { encode_base64url(JSON::PP->new->canonical->encode($_)) } $header, $claims;
    my $text   = $signed . '.' . encode_base64url(hmac_sha256($signed, $secret));
    return { user => $user, header => "Authorization: Bearer $text", mark => mark('token', $signed) };
}

# The mark by which something is revoked, as docs/login.md describes it.
sub mark { substr sha256_hex(join "\n", @_), 0, 32 }

my $script;

# Revokes as the back end does: the fields of a hash, each until an hour from now, or 30 days
# after the instant.
sub revoke {
    my ($what, $at) = @_;
    $at //= now_ms();
    my $until = $what =~ /^sessions:/ ? $at + 30 * 86_400_000 : $at + 3_600_000;
    $script //= do {
        my ($root) = $FindBin::RealBin =~ m{^(.*)/t$};
        open my $in, '<', "$root/lua/sessions/revoke.lua" or die "revoke.lua: $!";
        local $/;
        <$in>;
    };
    return redis('EVAL', $script, 4, @list, $what, $until, "$until|$at|test|", now_ms(), 1000, 1_000_000);
}

# One request to the edge of this port.
sub ask {
    my ($line, $header, $port) = @_;
    my $edge = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port // $ENV{TEST_NGINX_SERVER_PORT}) or return 0;
    print $edge join "\r\n", "$line HTTP/1.1", 'Host: shop', $header, 'Connection: close', '', '';
    return answer($edge);
}

# One click on product 153 by who has this session or token: its status and code.
sub click {
    my ($who, $port, @more) = @_;
    my $answer = ask('POST ' . hidden_path($$who{user}, '1', '153'), join("\r\n", $$who{header}, @more), $port);
    return join ' ', ($answer =~ m{^HTTP/1\.1 (\d+)})[0] // 0, $answer =~ /"code":"(\w+)"/;
}

# Whom the back end is told that somebody is.
sub named {
    my ($who) = @_;
    my $answer = ask('GET /identity', $$who{header});
    my ($text) = $answer =~ /\r\n\r\n(\S*)/;
    return vouched_for($text // '') || 'nobody';
}

# Clicks until this is refused; says so if it took more than two seconds, or never came.
sub soon {
    my ($who, $port) = @_;
    my ($begun, $said) = (time);
    SeckillTest::eventually(sub { ($said = click($who, $port)) eq '401 login_required' }, 30);
    my $limit = $ENV{TEST_NGINX_USE_VALGRIND} ? 20 : 2;
    return $said ne '401 login_required' ? "$said for ever" : time - $begun < $limit ? $said : "$said, too late";
}

my $buyer = 0;
sub fresh { 'buyer' . ++$buyer }
sub summary { return join(', ', @_) . "\n" }

run_tests();

__DATA__

=== TEST 1: one session is refused, and others of its buyer and of everybody else are not
--- only: module
--- sale
1 153 limit=100
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my ($copied, $kept) = map { main::issued('li') } 1, 2;
    $kept = main::issued('li', now_ms() + 1) if $$kept{mark} eq $$copied{mark};
    my @said = main::click($copied);
    main::revoke("session:$$copied{mark}");
    push @said, main::soon($copied), main::click(main::issued('wang')), main::click($kept);
    # No URL either, and the log does not name who was shown the door.
    push @said, main::ask('GET /api/rounds/1/products/153/path', $$copied{header}) =~ m{^HTTP/1\.1 (\d+)};
    push @said, main::ask('GET /api/rounds/1/products/153/path', $$kept{header}) =~ m{^HTTP/1\.1 (\d+)};
    push @said, map { main::metric("seckill_$_") } qw(revoked_sessions bans);
    push @said, main::metric('seckill_revoked_total') >= 2 ? 'counted' : 'not counted';
    return main::summary(@said);
}
--- response_body
202, 401 login_required, 202, 409 duplicate, 401, 200, 1, 0, counted



=== TEST 2: all that a buyer was issued before an instant, to the millisecond; a new session works
--- only: module
--- sale
1 153 limit=100
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my $now = now_ms();
    my ($old, $new) = (main::issued('li', $now - 1), main::issued('li', $now));
    # One that does not say when it was issued counts as older.
    my $silent = { user => 'li', header => cookie('li') };
    my @said = main::click($old);
    main::revoke('sessions:li', $now);
    push @said, map { main::soon($_) } $old, $silent;
    # Who has bought already is told so, and no more that they should log in.
    return main::summary(@said, main::click($new), main::click(main::issued('wang', 1)));
}
--- response_body
202, 401 login_required, 401 login_required, 409 duplicate, 202



=== TEST 3: a token that this edge has verified before, by its text and by its jti
--- only: module
--- sale
1 153 limit=100
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my $by_text = main::token('li', jti => 'a');
    my $by_jti  = main::token('wang', jti => 'b');
    my $by_user = main::token('zhao', iat => int(time) - 1);
    my $kept    = main::token('sun', jti => 'c');
    my @said = map { main::click($_) } $by_text, $by_jti, $by_user, $kept;
    main::revoke("session:$$by_text{mark}");
    main::revoke('session:' . main::mark('jti', 'b'));
    main::revoke('sessions:zhao', 1000 * int time);
    push @said, map { main::soon($_) } $by_text, $by_jti, $by_user;
    push @said, main::click($kept), main::click(main::token('zhao', iat => int(time) + 1));
    return main::summary(@said);
}
--- response_body
202, 202, 202, 202, 401 login_required, 401 login_required, 401 login_required, 409 duplicate, 409 duplicate



=== TEST 4: what is revoked anywhere is refused at every edge
--- only: module
--- sale
1 153 limit=100
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my $other = SeckillEdge::second_edge(http_config(), $::gate);
    my ($li, $wang) = (main::issued('li'), main::token('wang'));
    my @said = map { main::click($$_[0], $$_[1]) } [$li], [$wang, $$other{port}];
    main::revoke("session:$$_{mark}") for $li, $wang;
    for my $port ($ENV{TEST_NGINX_SERVER_PORT}, $$other{port}) {
        push @said, map { main::soon($_, $port) } $li, $wang;
    }
    push @said, main::click(main::issued('zhao'), $$other{port});
    SeckillEdge::end_edge($other);
    return main::summary(@said);
}
--- response_body
202, 202, 401 login_required, 401 login_required, 401 login_required, 401 login_required, 202



=== TEST 5: while Redis is away what is revoked stays so, and what is revoked meanwhile is known afterwards
--- only: module
--- sale
1 153 limit=100
--- config eval: $::gate
--- allow_errors
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my ($before, $meanwhile) = (main::issued('li'), main::issued('wang'));
    main::revoke("session:$$before{mark}");
    my @said = (main::soon($before));
    redis_stop();
    SeckillTest::eventually(sub { log_has('error.log', 'is away') });
    push @said, main::click($before);
    redis_start();
    # The edge connects again in a moment.
    main::revoke("session:$$meanwhile{mark}");
    my $is_back = SeckillTest::eventually(sub { main::click(main::issued(main::fresh())) eq '202' }, 30);
    push @said, $is_back ? 'back' : 'not back', main::soon($meanwhile) =~ s/, too late//r, main::click($before);
    return main::summary(@said);
}
--- response_body
401 login_required, 401 login_required, back, 401 login_required, 401 login_required



=== TEST 6: a reload keeps them at every moment
--- only: module
--- sale
1 153 limit=100
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my @revoked = (main::issued('li'), main::token('wang'), main::issued('zhao', 1));
    main::click($_) for @revoked;
    main::revoke("session:$$_{mark}") for @revoked[0, 1];
    main::revoke('sessions:zhao');
    main::soon($_) for @revoked;
    my $master = SeckillClick::edge_pid();
    my ($old) = split ' ', `pgrep -P $master`;
    my %said;
    SeckillClick::reload();
    SeckillTest::eventually(sub {
        $said{main::click($_)}++ for @revoked;
        my @now = split ' ', `pgrep -P $master`;
        @now && !grep { $_ == $old } @now;
    }, 30) or return "not reloaded\n";
    for (1 .. 20) { $said{main::click($_)}++ for @revoked }
    return main::summary(sort(keys %said), main::click(main::issued('sun')));
}
--- response_body
401 login_required, 202



=== TEST 7: a winner whose session was revoked logs in again and gets their answer
--- only: module
--- sale
1 153 limit=1
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my $session = main::issued('li');
    my @said = main::click($session, undef, 'Idempotency-Key: k1');
    SeckillTest::eventually(sub { main::click(main::issued(main::fresh())) eq '410 sold_out' });
    main::revoke('sessions:li');
    push @said, main::soon($session);
    my $again = main::issued('li', now_ms() + 1);
    push @said, main::click($again, undef, 'Idempotency-Key: k1'), main::click(main::issued('late'));
    return main::summary(@said);
}
--- response_body
202, 401 login_required, 202, 410 sold_out



=== TEST 8: an entry that is none is skipped, counted and logged with its text; the others count
--- only: module
--- sale
1 153 limit=100
--- redis
HSET seckill::{revoked}::list session:short 9999999999999|1|x|
HSET seckill::{revoked}::list sessions:eve soon|1|x|
HSET seckill::{revoked}::list sessions:oscar 9999999999999|9999999999999|x|
HSET seckill::{revoked}::list sessions:mallory 9999999999999|1700000000000|x|
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    # All of a buyer's are revoked for 30 days, and not for as long as somebody writes.
    my @said = map { main::click(main::issued($_)) } qw(eve oscar mallory);
    return main::summary(@said, main::metric('seckill_bans_skipped'));
}
--- response_body
202, 202, 202, 4
--- error_log: "session:short" does not begin



=== TEST 9: a list of another type: nobody is admitted by a guess, and shoppers stay logged in
--- only: module
--- sale
1 153 limit=100
--- redis
SET seckill::{revoked}::list text
--- http_config eval: $::identity
--- config eval: $::gate . $::named
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my ($li, $wang) = (main::token('li'), main::token('wang'));
    my @said = (main::click($li), map { main::named($_) } $li, $wang);
    redis('DEL', $main::list[0]);
    SeckillTest::eventually(sub { main::click($li) eq '202' }) or push @said, 'closed for ever';
    main::revoke("session:$$wang{mark}");
    return main::summary(@said, main::soon($wang), map { main::named($_) } $li, $wang);
}
--- response_body
503 unavailable, li, wang, 401 login_required, li, nobody
--- error_log: the bans cannot be read



=== TEST 10: a lost connection does not make an edge read the lists again, and it misses nothing
--- only: module
--- sale
1 153 limit=100
--- config eval: $::gate
--- allow_errors
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my @revoked = map { main::issued("old$_") } 1 .. 3;
    main::revoke("session:$$_{mark}") for @revoked;
    my @said = map { main::soon($_) } @revoked;
    # The first changes may have come while the lists were read, and be read once more.
    my $more = 0;
    SeckillTest::eventually(sub {
        redis('CONFIG', 'RESETSTAT');
        my $next = main::issued('more' . $more++);
        main::revoke("session:$$next{mark}");
        main::soon($next);
        redis('INFO', 'commandstats') !~ /cmdstat_hscan/;
    }) or push @said, 'read again and again';
    my $connects = main::metric('seckill_redis_connects_total');
    redis('CLIENT', 'KILL', 'TYPE', 'normal');
    my $late = main::issued('late');
    main::revoke("session:$$late{mark}");
    SeckillTest::eventually(sub { main::metric('seckill_redis_connects_total') > $connects }) or push @said, 'not connected';
    push @said, main::soon($late) =~ s/, too late//r, map { main::click($_) } @revoked;
    push @said, redis('INFO', 'commandstats') =~ /cmdstat_hscan:calls=(\d+)/ ? "$1 times" : 'never';
    # By hand: now it must.
    redis('HDEL', $main::list[0], "session:$revoked[0]{mark}");
    redis('SET', $main::list[3], 'by hand');
    SeckillTest::eventually(sub { main::click($revoked[0]) eq '202' }) or push @said, 'for ever';
    return main::summary(@said, main::click($revoked[1]));
}
--- response_body
401 login_required, 401 login_required, 401 login_required, 401 login_required, 401 login_required, 401 login_required, 401 login_required, never, 401 login_required



=== TEST 11: a million revoked sessions, and the zone says 64m
--- only: module
--- sale
1 153 limit=1000
--- redis
EVAL for--[[]]n=1,999990--[[]]do--[[]]redis.call("HSET",KEYS[1],string.format("session:%032x",n),"9999999999999|1|x|")--[[]]end 1 seckill::{revoked}::list
SET seckill::{revoked}::version by-hand
--- http_config eval: http_config() =~ s/seckill_zone test:8m/seckill_zone test:64m/r
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    SeckillTest::eventually(sub { main::click(main::issued(main::fresh())) eq '202' }, 300) or return "never ready\n";
    my @revoked = map { main::issued(main::fresh()) } 1 .. 10;
    main::revoke("session:$$_{mark}") for @revoked;
    my %said = (revoked => {}, free => {});
    $said{revoked}{main::soon($_) =~ s/, too late//r}++ for @revoked;
    $said{free}{main::click(main::issued(main::fresh()))}++ for 1 .. 200;
    return main::summary(main::metric('seckill_revoked_sessions'), keys %{$said{revoked}}, keys %{$said{free}},
        main::metric('seckill_bans_unmirrored'), redis('HLEN', $main::list[0]));
}
--- response_body
1000000, 401 login_required, 202, 0, 1000000
