# Tokens of the shop's own login (seckill_jwt): signed here as a provider signs them.
use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillRedis qw(folder);
use SeckillClick qw(answer);
use IO::Socket::INET;
use Digest::SHA qw(hmac_sha256);
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);

our $secret = 'a secret of thirty-two bytes and more';
our ($file, $public) = (folder() . '/jwks.json', folder() . '/public.json');
my $rsa = folder() . '/rsa.pem';
system("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out $rsa 2>/dev/null") == 0 or die "openssl is needed\n";
my ($modulus) = `openssl rsa -in $rsa -noout -modulus` =~ /=([0-9A-F]+)/ or die "no modulus\n";
our $rsa_key = { kty => 'RSA', kid => 'r1', alg => 'RS256', use => 'sig', n => encode_base64url(pack 'H*', $modulus), e => 'AQAB' };

sub json { JSON::PP->new->canonical->encode($_[0]) }

sub keep {
    my ($name, $mode, @keys) = @_;
    open my $out, '>', $name or die "$name: $!\n";
    print $out json({ keys => \@keys });
    close $out;
    chmod $mode, $name;
}
keep($file, 0600, { kty => 'oct', kid => 'h1', k => encode_base64url($secret) }, $rsa_key);
keep($public, 0644, $rsa_key);
our $open = folder() . '/open.json';
keep($open, 0644, { kty => 'oct', kid => 'h1', k => encode_base64url($secret) });

our $twins = folder() . '/twins.json';
keep($twins, 0600, { kty => 'oct', kid => 'same', k => encode_base64url('x' x 32) }, 'nonsense', { kty => 'RSA', kid => 'same' },
    { kty => 'oct', kid => 'same', k => encode_base64url($secret) }, { %$rsa_key, kid => 'same' }, { kty => 'EC', crv => 'P-521' });

sub rs256 {
    my ($text) = @_;
    my $in = folder() . '/text';
    open my $out, '>', $in or die "$in: $!\n";
    print $out $text;
    close $out;
    my $signature = `openssl dgst -sha256 -sign $rsa $in`;
    return $signature;
}

# A token for $user; %how may have header, sign, and claims.
sub token {
    my ($user, %how) = @_;
    my $now    = time;
    my $header = { alg => 'HS256', kid => 'h1', %{ $how{header} // {} } };
    my $claims = { sub => $user, exp => $now + 600, iss => 'https://login/', aud => ['shop'], %{ $how{claims} // {} } };
    my $signed = join '.', map { encode_base64url(json($_)) } $header, $claims;
    my $sign   = $how{sign} // sub { hmac_sha256($_[0], $secret) };
    return $signed . '.' . encode_base64url($sign->($signed));
}
sub bearer { 'Authorization: Bearer ' . token(@_) }
sub buys   { 'POST ' . hidden_path(written($_[0]), '1', '153') }

# The status of one click with this header.
sub status_with {
    my ($user, $header) = @_;
    my $edge = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $ENV{TEST_NGINX_SERVER_PORT}) or return 0;
    my $line = buys($user);
    print $edge "$line HTTP/1.1\r\nHost: shop\r\n$header\r\nConnection: close\r\n\r\n";
    return answer($edge) =~ m{^HTTP/1\.1 (\d+)} ? $1 : 0;
}

our $settings = 'issuer=https://login/ audience=shop cookie=token;';
our $gate     = gate_location("seckill_jwt jwks=$file $settings");

# What a stranger may send instead of a token.
our @wrong = (
    bearer('li', header => { alg => 'none' }, sign => sub {''}),
    # HS256 with the public key as the secret.
    bearer('li', header => { kid => 'r1' }, sign => sub { hmac_sha256($_[0], json($main::rsa_key)) }),
    bearer('li', header => { kid => 'x' }),
    bearer('li', sign => sub { hmac_sha256($_[0], 'another secret') }),
    bearer('li', claims => { exp => time - 61 }),
    bearer('li', claims => { nbf => time + 600 }),
    bearer('li', claims => { iat => time + 600 }),
    bearer('li', claims => { iss => 'https://other/' }),
    bearer('li', claims => { aud => 'other' }),
    bearer('li', claims => { aud => ['other', 'Shop'] }),
    bearer('li', claims => { aud => [] }),
    bearer('li', claims => { sub => undef }),
    bearer('li', claims => { sub => 'x' x 300 }),
    'Authorization: Bearer a.b.c',
    'Authorization: Bearer',
    'Cookie: token=a.b.c',
);

our $identity = http_config(<<'_CONFIG_');
    server {
        listen unix:$TEST_NGINX_SERVER_ROOT/identity.sock;
        location / { return 200 "$http_x_seckill_identity"; }
    }
_CONFIG_

run_tests();

__DATA__

=== TEST 1: a token lets its buyer pass, in the header or in the cookie, again and again
--- sale
1 153 limit=20
1 154 limit=20
--- config eval: $::gate
--- pipelined_requests eval
[main::buys('li'), main::buys('auth0|5f7c'), main::buys('wang'), 'POST ' . hidden_path('li', '1', '154')]
--- more_headers eval
my $li = main::bearer('li');
[$li, main::bearer('auth0|5f7c'), 'Cookie: a=b; token=' . main::token('wang'), $li]
--- error_code eval: [(202) x 4]



=== TEST 2: RS256, clocks a minute apart, and an audience that is a text
--- sale
1 153 limit=20
--- config eval: $::gate
--- pipelined_requests eval: [map { main::buys($_) } 1 .. 5]
--- more_headers eval
my @rs = (header => { alg => 'RS256', kid => 'r1' }, sign => \&main::rs256);
[main::bearer('1', @rs), main::bearer('2', claims => { exp => time - 50 }), main::bearer('3', @rs, claims => { nbf => time + 50 }),
 main::bearer('4', claims => { iat => time + 50 }), main::bearer('5', claims => { aud => 'shop' })]
--- error_code eval: [(202) x 5]



=== TEST 3: what is no token of this login is nobody
--- sale
1 153 limit=20
--- config eval: $::gate
--- pipelined_requests eval: [map { main::buys('li') } @::wrong]
--- more_headers eval: \@::wrong
--- error_code eval: [(401) x @::wrong]



=== TEST 4: a token for one buyer does not open another's URL
--- sale
1 153 limit=20
--- config eval: $::gate
--- request eval: main::buys('wang')
--- more_headers eval: main::bearer('li')
--- error_code: 403
--- response_body_like: "code":"bad_signature"



=== TEST 5: a session of ours is one still, and other schemes do not matter
--- sale
1 153 limit=20
--- config eval: $::gate
--- request eval: main::buys('li')
--- more_headers eval: cookie('li') . "\r\nAuthorization: Basic c2hvcDpzaG9w"
--- error_code: 202



=== TEST 6: the back end is told, signed, whom a token names
--- http_config eval: $::identity
--- config eval
"seckill_jwt jwks=$::file $::settings" . ' location = /identity { proxy_set_header X-Seckill-Identity $seckill_identity;'
    . ' proxy_pass http://unix:$TEST_NGINX_SERVER_ROOT/identity.sock; }'
--- pipelined_requests eval: [('GET /identity') x 3]
--- more_headers eval: [main::bearer("\xe5\xbc\xa0"), main::bearer('li'), $::wrong[3]]
--- response_body_filters eval
sub { vouched_for($_[0]) . "\n" }
--- response_body eval: ["%E5%BC%A0\n", "li\n", "\n"]



=== TEST 7: tokens are switched off where they do not belong
--- sale
1 153
--- config eval
"seckill_jwt jwks=$::file $::settings" . gate_location('seckill_jwt off;')
--- request eval: main::buys('li')
--- more_headers eval: main::bearer('li')
--- error_code: 401



=== TEST 8: keys behind a URL come from the back end through Redis; before that nothing is known
--- sale
1 153 limit=20
--- config eval: gate_location("seckill_jwt jwks=https://login.example.com/jwks $::settings")
--- request eval: main::buys('early')
--- more_headers eval
main::bearer('early', header => { alg => 'RS256', kid => 'r1' }, sign => \&main::rs256)
--- error_code: 503
--- response_body_filters eval
sub {
    redis('HSET', 'seckill::{jwks}::sets', 'https://login.example.com/jwks', main::json({ keys => [$::rsa_key] }));
    my @rs = (header => { alg => 'RS256', kid => 'r1' }, sign => \&main::rs256);
    my $is_read = SeckillTest::eventually(sub { main::status_with('li', main::bearer('li', @rs)) == 202 }, 10);
    # A key that is not in the set is asked for.
    main::status_with('wang', main::bearer('wang', @rs, header => { alg => 'RS256', kid => 'new' }));
    my $is_wanted = SeckillTest::eventually(sub { redis('EXISTS', 'seckill::{jwks}::wanted') }, 10);
    return join(' ', $is_read ? 'read' : 'not read', $is_wanted ? 'wanted' : 'not wanted') . "\n";
}
--- response_body
read wanted



=== TEST 9: a key set with a secret must not be open to others
--- config eval: "seckill_jwt jwks=$::open;"
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_jwt.*open to others; run: chmod o=/]



=== TEST 10: a key set that is none is refused with its file
--- config eval: "seckill_jwt jwks=" . main::keys_file() . ";"
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_jwt.*keys": it is no JWK Set/]



=== TEST 11: an unknown argument is named
--- config eval: "seckill_jwt jwks=$::file leeway=5;"
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_jwt.*unknown argument "leeway=5"; known are/]



=== TEST 12: a token of more than 8 KB is no token, and what nginx itself finds too long is its own refusal
--- sale
1 153 limit=20
--- config eval: $::gate
--- request: POST /buy/
--- error_code: 400
--- response_body_filters eval
sub {
    my @said = map { main::status_with('li', main::bearer('li', claims => { pad => 'x' x $_ })) } 4_000, 7_000, 17_000, 40_000;
    return "@said\n";
}
--- response_body
202 401 401 400



=== TEST 13: of keys with one id each verifies its own tokens, and unusable ones are passed over
--- sale
1 153 limit=20
--- config eval: gate_location("seckill_jwt jwks=$::twins $::settings")
--- pipelined_requests eval: [map { main::buys($_) } qw(li wang zhao)]
--- more_headers eval
my @same = (header => { kid => 'same' });
[main::bearer('li', @same), main::bearer('wang', header => { alg => 'RS256', kid => 'same' }, sign => \&main::rs256),
 main::bearer('zhao', @same, sign => sub { Digest::SHA::hmac_sha256($_[0], 'another secret of thirty-two bytes') })]
--- error_code eval: [202, 202, 401]



=== TEST 14: of a user that nginx vouches for and a token the inner one holds
--- sale
1 153 limit=9
--- http_config eval: http_config('seckill_user $http_x_member;')
--- config eval: $::gate
--- allow_errors
--- request eval: main::buys('li')
--- more_headers eval: main::bearer('li')
--- error_code: 202



=== TEST 15: also the other way round, and off is neither
--- sale
1 153 limit=9
--- http_config eval: http_config("seckill_jwt jwks=$::file $::settings")
--- config eval: gate_location('seckill_user $http_x_member;')
--- allow_errors
--- request eval: main::buys('li')
--- response_body_filters eval
sub { main::status_with('li', 'X-Member: li') . ' ' . main::status_with('wang', main::bearer('wang')) . "\n" }
--- error_code: 401
--- response_body
202 401



=== TEST 16: a user switched off where it is inherited
--- sale
1 153 limit=9
--- http_config eval: http_config('seckill_user $http_x_member;')
--- config eval: gate_location('seckill_user off;')
--- allow_errors
--- request eval: main::buys('li')
--- more_headers eval: cookie('li')
--- error_code: 202



=== TEST 17: both in one block
--- config eval: gate_location("seckill_user \$remote_user; seckill_jwt jwks=$::file;")
--- must_die
--- error_log eval: [qr/\[emerg\].*seckill_jwt: stands beside seckill_user, and both.*remove one/]
