# The shipped server block for pages of other names: who may read the API's responses,
# and what a page of the shop may load.
use lib 't/lib';
use SeckillTest 'no_plan';
use SeckillRedis qw(folder);

our $shop = 'https://mall.example.com';
my $origins = folder() . '/origins.conf';
open my $out, '>', $origins or die "$origins: $!\n";
print $out "$shop \$http_origin;\n";
close $out;

sub file {
    my ($name) = @_;
    open my $in, '<', $name or die "$name: $!\n";
    local $/;
    return scalar <$in>;
}

# The methods of the buyer's API, by the back end's routes.
our %methods;
for my $routes (map { file($_) } glob 'backend/src/shop/*.rs') {
    for my $handlers ($routes =~ m{\.route\("/api/\S+", (.+)}g) {
        $methods{uc $_} = 1 for $handlers =~ /\b(get|post|put|patch|delete)\(/g;
    }
}
$methods{$_} or die "no route has $_ any more\n" for qw(GET POST PUT);

mkdir folder() . $_ for '/pages', '/pages/product';
open $out, '>', folder() . '/pages/product/1-1.html' or die "no page: $!\n";
print $out "a page\n";
close $out;

our $http = http_config('upstream seckill_ops { server 127.0.0.1:1; }');
$http =~ s{include seckill-origins/\*\.conf;}{include $origins;} or die "http.conf includes no origins\n";
our $server = 'set $seckill_static ' . folder() . '/static; set $seckill_pages ' . folder() . "/pages;\n" . file('conf/seckill/server.conf');
# Test::Nginx has one of its own.
$server =~ s/^location \/ \{.*?^\}//ms or die "server.conf has no location / any more\n";

run_tests();

__DATA__

=== TEST 1: a page of a name that is listed may read, whoever responds
--- sale
1 153
--- http_config eval: $::http
--- config eval: $::server
--- only: module
--- pipelined_requests eval
['GET /api/time', 'GET /api/session', 'GET /api/rounds/1/products/153/path', 'POST /buy/x', 'GET /api/nothing']
--- more_headers eval: "Origin: $::shop"
--- response_headers eval
[("Access-Control-Allow-Origin: $::shop\nAccess-Control-Allow-Credentials: true") x 5]
--- error_code eval: [200, 202, 401, 400, 404]



=== TEST 2: no other page may
--- sale
1 153
--- http_config eval: $::http
--- config eval: $::server
--- only: module
--- pipelined_requests eval: [('GET /api/time') x 4]
--- more_headers eval
['Origin: https://evil.example', 'Origin: null', "Origin: $::shop.evil.example", 'X-None: 1']
--- response_headers eval: [("Access-Control-Allow-Origin:\nAccess-Control-Allow-Credentials:") x 4]
--- error_code eval: [(200) x 4]



=== TEST 3: a browser that asks first is told that such a page may send what the API takes
--- sale
1 153
--- http_config eval: $::http
--- config eval: $::server
--- only: module
--- request: OPTIONS /api/orders/1/details
--- more_headers eval: "Origin: $::shop"
--- response_headers_like eval
"Access-Control-Allow-Origin: $::shop\nAccess-Control-Allow-Methods: " . CORE::join('', map { "(?=.*\\b$_\\b)" } sort keys %::methods) . '.*'
--- error_code: 204



=== TEST 4: a page of another name is told nothing
--- sale
1 153
--- http_config eval: $::http
--- config eval: $::server
--- only: module
--- request: OPTIONS /api/session
--- more_headers: Origin: https://evil.example
--- response_headers
Access-Control-Allow-Origin:
--- error_code: 400



=== TEST 5: a page loads nothing from elsewhere, and nobody frames it
--- sale
1 153
--- http_config eval: $::http
--- config eval: $::server
--- only: module
--- request: GET /product/1-1.html
--- response_headers_like
Content-Security-Policy: default-src 'self'; .*frame-ancestors 'self'
X-Content-Type-Options: nosniff
Referrer-Policy: strict-origin-when-cross-origin
--- response_body
a page
