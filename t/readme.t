# The nginx.conf in README.md, as it stands: nginx starts with it and sells. Only
# what belongs to this machine is put in: ports, addresses, files.
use strict;
use warnings;
use lib 't/lib';

use FindBin;
use File::Path ();
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes ();

use SeckillRedis qw(redis redis_start socket_path folder offer);
use SeckillServers qw(free_port);
use SeckillSign qw(now_ms cookie);

my ($root) = $FindBin::RealBin =~ m{^(.*)/t$} or die "run the suites from t/\n";
my $module = $ENV{SECKILL_MODULE} // "$root/target/nginx/ngx_http_seckill_module.so";
-f $module or BAIL_OUT("$module is missing; build it with: make module");
my $nginx = $ENV{TEST_NGINX_BINARY} // '/usr/sbin/nginx';
my $home  = folder();
# Workers run under the account that nginx was built for.
chmod 0755, $home;

# --- The back end ------------------------------------------------------------

my @children;

# Starts a back end that responds with the headers it received, and hangs up on a
# request whose Idempotency-Key is "unanswered". Returns its port.
sub start_back_end {
    my $door = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1') or die "no port: $!\n";
    my $pid = fork // die "cannot fork: $!\n";
    if (!$pid) {
        while (my $edge = $door->accept) {
            my %headers;
            my $first = <$edge> // '';
            while (defined(my $line = <$edge>)) {
                my ($name, $value) = $line =~ /^([\w-]+):\s*(.*?)\r$/ or last;
                $headers{lc $name} = $value;
            }
            next if ($headers{'idempotency-key'} // '') eq 'unanswered';
            my $body = JSON::PP->new->canonical->encode(\%headers);
            print $edge "HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: ", length $body, "\r\n\r\n$body";
        }
        POSIX::_exit(0);
    }
    push @children, $pid;
    return $door->sockport;
}

# --- The edge ----------------------------------------------------------------

sub write_file {
    my ($path, $mode, $text) = @_;
    open my $out, '>', $path or die "$path: $!\n";
    chmod $mode, $out;
    print $out $text;
    close $out;
    return;
}

# The first block of nginx configuration in README.md.
sub example {
    open my $in, '<', "$root/README.md" or die "README.md: $!\n";
    local $/;
    my ($conf) = <$in> =~ /^```nginx\n(.*?)^```$/ms or die "README.md has no block of nginx configuration\n";
    return $conf;
}

my $port = free_port();
my $conf = example();
write_file("$home/keys", 0640, SeckillSign::keyring_text());
mkdir "$home/modules";
symlink $module, "$home/modules/ngx_http_seckill_module.so" or die "cannot link the module: $!\n";
my @this_machine = (
    ['/etc/seckill/keys', "$home/keys"],
    ['127.0.0.1:6379',    'unix:' . socket_path()],
    ['127.0.0.1:7001',    '127.0.0.1:' . start_back_end()],
    ['listen 80;',        "listen 127.0.0.1:$port;"],
    ['http {',            "http {\n    access_log $home/access.log;" . join '',
        map {"\n    ${_}_temp_path $home/$_;"} qw(client_body proxy fastcgi uwsgi scgi)],
);
for my $change (@this_machine) {
    my ($from, $to) = @$change;
    is(scalar(() = $conf =~ /\Q$from\E/g), 1, "the example says \"$from\" once");
    $conf =~ s/\Q$from\E/$to/;
}
write_file("$home/nginx.conf", 0644, $conf);

my @edge = ($nginx, '-p', $home, '-e', "$home/error.log", '-c', "$home/nginx.conf", '-g', "pid $home/nginx.pid;");

# Runs nginx with the example; what it prints, and whether it succeeded.
sub run_nginx {
    my $said = '';
    open my $out, '-|', "@{[ map {quotemeta} @edge, @_ ]} 2>&1" or die "cannot start nginx: $!\n";
    $said .= $_ while <$out>;
    return ($said, close $out);
}

# The response to one request: status and body; 0 if there was none.
sub fetch {
    my ($method, $path, @headers) = @_;
    my $edge = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 5) or return (0, '');
    print $edge join "\r\n", "$method $path HTTP/1.1", 'Host: shop', @headers, 'Connection: close', '', '';
    local $/;
    my ($status, $body) = (<$edge> // '') =~ m{^HTTP/1\.1 (\d+).*?\r\n\r\n(.*)}s;
    return ($status // 0, $body // '');
}

# Repeats a request for up to ten seconds, until it has this status.
sub until_status {
    my ($expected, @request) = @_;
    my $end = Time::HiRes::time() + 10;
    while (1) {
        my @response = fetch(@request);
        return @response if $response[0] == $expected || Time::HiRes::time() > $end;
        Time::HiRes::sleep(0.02);
    }
}

END {
    local $?;
    run_nginx('-s', 'stop') if -f "$home/nginx.pid";
    kill 'KILL', @children if @children;
    waitpid $_, 0 for @children;
}

# --- The sale ----------------------------------------------------------------

redis_start();
offer('1', '153', opens => now_ms() - 10_000, ends => now_ms() + 3_600_000, limit => 3);

my ($said, $is_right) = run_nginx('-t');
ok($is_right, 'nginx -t accepts the example') or diag $said;
unlike($said, qr/\[(?:warn|error|emerg)\]/, 'and has no warning about it');
($said, $is_right) = run_nginx();
ok($is_right, 'nginx starts with it') or BAIL_OUT($said);

my $item = '/api/rounds/1/products/153';
my ($status, $body) = until_status(200, 'GET', "$item/state");
is($status, 200, 'the edge knows the product');
like($body, qr/"state":"open"/, 'which is on sale');

# It signs URLs once it knows who is banned, too.
my ($path) = (until_status(200, 'GET', "$item/path", cookie('li')))[1] =~ /"path":"([^"]+)"/;
ok($path, 'a buyer gets the purchase URL');

($status, $body) = fetch('POST', $path =~ s/.$/$& eq 'A' ? 'B' : 'A'/er, cookie('li'));
is($status, 403, 'a forged URL is refused');
like($body, qr/"code":"bad_signature"/, 'as forged');

($status, $body) = fetch('POST', $path, cookie('li'), 'Idempotency-Key: click-1');
is($status, 202, 'the purchase reaches the back end');
my $received = eval { JSON::PP::decode_json($body) } // {};
like($received->{'x-seckill-permit'}, qr/^edge-[0-9a-f-]+\.[0-9a-f-]+\.\d+$/, 'with a permit');
is($received->{'x-seckill-arrival'}, 2, 'its place in the order of arrival');
is($received->{'x-request-id'}, 'click-1', "the shopper's request id");
is($received->{'x-real-ip'}, '127.0.0.1', 'and the address');

($status) = fetch('POST', $path, cookie('li'), 'Idempotency-Key: click-2');
is($status, 409, 'a second click of the same buyer is refused');

($path) = (fetch('GET', "$item/path", cookie('wang')))[1] =~ /"path":"([^"]+)"/;
# On a busy machine its permit may come too late: then it may be repeated.
($status, $body) = until_status(202, 'POST', $path, cookie('wang'), 'Idempotency-Key: unanswered');
is($status, 202, 'a purchase of unknown outcome is not reported as failed');
is($body, '{"status":"processing","request":"unanswered"}', 'but as processing');

done_testing();
