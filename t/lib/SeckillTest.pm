package SeckillTest;

# Test::Nginx for this project. A suite says `use SeckillTest 'no_plan';` and has
# in each block, beside the sections of Test::Nginx::Socket:
#
#   --- sale            one product a line, on sale when nginx starts:
#                         ROUND PRODUCT opens=-10s ends=+1h limit=3 per_buyer=1
#                       times are relative to now (ms, s, m, h)
#   --- redis           one command a line, for Redis before nginx starts
#   --- allow_errors    this block may log above info
#   --- only: module    this block holds for the module (or lua: the Lua edge)
#                       alone; the other one skips it
#
# SECKILL_EDGE=lua runs a suite against the Lua edge, see SeckillLuaEdge.
#
# Redis is a private one, empty at the start of every block. Every block loads
# Debian's Lua module and ours, and gets the zone, the connection and the key
# ring in http{} unless it has an http_config of its own. A block fails on any
# line above notice in the error log, unless it expects one (error_log) or says
# allow_errors.

use FindBin;
use File::Path ();
use IO::Socket::INET;
use IO::Socket::UNIX;
use Time::HiRes ();

my ($root, $suite, $port, $valgrind_logs);

BEGIN {
    ($root) = $FindBin::RealBin =~ m{^(.*)/t$} or die "run the suites from t/\n";
    # scripts/test.sh comes by a path without spaces.
    $root = $ENV{PWD} if $root =~ /\s/ && join(':', (stat $root)[0, 1]) eq join(':', (stat($ENV{PWD} // ''))[0, 1]);
    $root !~ /\s/ or die "Test::Nginx takes no path with a space; run the suites with: scripts/test.sh nginx\n";
    ($suite) = $0 =~ m{([^/]+?)(?:\.t)?$};
    # Below the ports that the system hands to clients, which could take it meanwhile.
    for (1 .. 100) {
        my $free = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => 12000 + int rand 20000) or next;
        $port = $free->sockport;
        last;
    }
    $port or die "no free port: $!\n";
    my $modules = '/usr/lib/nginx/modules';
    my $ours    = $ENV{SECKILL_MODULE} // "$root/target/nginx/ngx_http_seckill_module.so";
    $ENV{TEST_NGINX_BINARY}       //= '/usr/sbin/nginx';
    # The Lua edge runs without the module, see SeckillLuaEdge.
    $ours = '' if ($ENV{SECKILL_EDGE} // '') eq 'lua';
    $ENV{TEST_NGINX_LOAD_MODULES} //= "$modules/ndk_http_module.so $modules/ngx_http_lua_module.so $ours";
    $ENV{TEST_NGINX_SERVROOT}     //= "$root/target/t/$suite";
    $ENV{TEST_NGINX_SERVER_PORT}  //= $port;
    # The suites promise no line above info.
    $ENV{TEST_NGINX_LOG_LEVEL} //= 'info';
    File::Path::make_path($ENV{TEST_NGINX_SERVROOT});

    # Under valgrind every process writes a log of its own, read at the end.
    if (my $valgrind = $ENV{TEST_NGINX_USE_VALGRIND}) {
        $valgrind_logs = "$root/target/t/$suite.valgrind";
        File::Path::remove_tree($valgrind_logs);
        File::Path::make_path($valgrind_logs);
        $ENV{TEST_NGINX_SLEEP} //= 0.3;
        $ENV{TEST_NGINX_USE_VALGRIND} = '--tool=memcheck --num-callers=40 --keep-debuginfo=yes'
            . " --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --gen-suppressions=all --suppressions=$root/t/valgrind.suppress"
            . " --log-file=$valgrind_logs/%p.log"
            if $valgrind =~ /^\d+$/;
    }
}

use Test::Nginx::Socket -Base;

use SeckillLuaEdge qw(is_lua in_lua gate_in_lua packages_in_lua http_in_lua);
use SeckillRedis qw(redis redis_start redis_stop redis_freeze redis_thaw socket_path folder offer);
use SeckillSign qw(%KEYS now_ms written hidden_path session cookie vouched_for captcha_pass captcha);

our @EXPORT = qw(
    redis redis_start redis_stop redis_freeze redis_thaw offer
    now_ms written hidden_path session cookie vouched_for captcha_pass captcha %KEYS
    keys_file redis_socket backend_socket http_config gate_location eventually
);

# The key ring's file, readable by its owner only.
sub keys_file () { folder() . '/keys' }
sub redis_socket () { socket_path() }
sub backend_socket () { folder() . '/backend.sock' }
my $ready_socket = folder() . '/ready.sock';

open my $keys, '>', keys_file() or die "cannot write the key ring: $!\n";
chmod 0600, $keys;
print $keys SeckillSign::keyring_text();
close $keys;

# A file of the shipped configuration.
sub shipped ($) {
    my ($name) = @_;
    my $file = (is_lua ? 'conf/lua-edge/' : 'conf/seckill/') . $name;
    open my $in, '<', "$root/$file" or die "$file: $!\n";
    local $/;
    return scalar <$in>;
}

# The guarded location exactly as shipped, with $more directives in it.
sub gate_location (;$) {
    my $more = shift // '';
    my ($gate) = shipped('server.conf') =~ /^(location \/buy\/ \{.*?^location \@seckill_unknown \{.*?^\})/ms
        or die "server.conf has no location /buy/ any more\n";
    # An edge that keeps a share for when Redis is away takes permits by itself:
    # suites that are about that ask for it.
    $gate =~ s/^\s*seckill_fallback[^\n]*\n//mg;
    return gate_in_lua($gate, $more) if is_lua;
    $gate =~ s/\{/{\n$more/;
    return $gate;
}

# How long a request waits for Redis: long enough for a machine with much else to do.
# Under valgrind everything takes thirty times as long.
our $redis_timeout = defined $valgrind_logs ? '5s' : '1s';

# What a block gets in http{}; http_config($more) for one that adds to it: the
# shipped part (less the directive that Test::Nginx writes itself), and a back
# end that responds with the headers that it got from the gate, and that the permit
# was used.
sub http_config (;$) {
    my $more = shift // '';
    my ($redis, $ring, $backend) = (socket_path(), keys_file(), backend_socket());
    (my $shipped = shipped('http.conf')) =~ s/^keepalive_timeout.*$//m;
    my $edge = is_lua ? http_in_lua($root, "unix:$redis timeout=$redis_timeout", $ring)
        : "seckill_zone test:8m; seckill_redis unix:$redis timeout=$redis_timeout; seckill_keys $ring;";
    my $state = '{ seckill_state; }';
    $state = in_lua($state) if is_lua;
    my $path = is_lua ? '' : 'location ~ /path$ { seckill_path; }';
    return <<"_CONFIG_";
$shipped
    $edge
    upstream seckill_purchase { server unix:$backend; }
    server {
        listen unix:$backend;
        location / {
            add_header X-Seckill-Outcome used always;
            return 202 "permit=\$http_x_seckill_permit request=\$http_x_request_id uri=\$request_uri\\n";
        }
    }
    server {
        listen unix:$ready_socket;
        location / $state
        $path
    }
$more
_CONFIG_
}

# Repeats $check until it returns something true: eventually { ... } or die.
# Waits for an event instead of a fixed time; a minute at most, since a machine with
# much else to do, valgrind on top, takes that long for what is usually a moment.
sub eventually (&;$) {
    my ($check, $seconds) = @_;
    my $deadline = Time::HiRes::time() + ($seconds // 60);
    while (1) {
        my $result = eval { $check->() };
        return $result if $result;
        return if Time::HiRes::time() > $deadline;
        Time::HiRes::sleep(0.02);
    }
}

my %unit = (ms => 1, s => 1000, m => 60_000, h => 3_600_000);

# Reads the sale section and puts its products up for sale.
my @items;
my $put_on_sale = sub {
    my ($text) = @_;
    @items = ();
    for my $line (grep {/\S/} split /\n/, $text) {
        my ($round, $product, @facts) = split ' ', $line;
        my %of = (opens => '-10s', ends => '+1h', map { split /=/, $_, 2 } @facts);
        for my $when (@of{qw(opens ends)}) {
            my ($sign, $amount, $unit) = $when =~ /^([+-])(\d+)(ms|s|m|h)$/ or die "bad time $when\n";
            $when = now_ms() + "${sign}1" * $amount * $unit{$unit};
        }
        offer($round, $product, %of);
        push @items, [$round, $product];
    }
};

# The status of GET .../products/PRODUCT/ENDPOINT at the edge; 0 for no response.
my $status_at_ready = sub {
    my ($round, $product, $endpoint) = @_;
    my $edge = IO::Socket::UNIX->new(Peer => $ready_socket) or return 0;
    print $edge "GET /api/rounds/$round/products/$product/$endpoint HTTP/1.0\r\nHost: ready\r\n",
        'Cookie: seckill_session=', session('ready'), "\r\n\r\n";
    return (<$edge> // '') =~ m{^HTTP/1\.\d (\d+)} ? $1 : 0;
};
# Whether the edge knows the product and, where a block bans somebody beforehand,
# has read the bans.
my $bans_beforehand;
my $is_known = sub {
    return $status_at_ready->(@_, 'state') == 200
        && (!$bans_beforehand || $status_at_ready->(@_, 'path') !~ /^(?:0|503)$/);
};

# An edge reads the catalogue after its start: a block's first request is sent when
# it has.
my $uses_default_config;
{
    no warnings 'once';
    my $run = $Test::Nginx::Util::RunTestHelper;
    $Test::Nginx::Util::RunTestHelper = sub ($$) {
        if ($uses_default_config) {
            for my $item (@items) {
                my $seconds = 60;
                Test::More::fail("$0: the edge did not learn of @$item in $seconds s")
                    unless SeckillTest::eventually(sub { $is_known->(@$item) }, $seconds);
            }
            # What it reads behind the catalogue, without which it gives no URL: in some
            # blocks it cannot.
            SeckillTest::eventually(sub { $status_at_ready->(@{$items[0]}, 'path') !~ /^(?:0|503)$/ }, 2) if @items;
            @items = ();
        }
        $run->(@_);
    };
}

# Ends the edge of the block before, which would otherwise run until this block's
# starts: it must not see this block's sale, nor take its permits.
my $end_last_edge = sub {
    my ($name) = @_;
    no warnings 'once';
    return unless -f $Test::Nginx::Util::PidFile;
    my $pid = Test::Nginx::Util::get_pid_from_pidfile($name);
    Test::Nginx::Util::kill_process($pid, 1, $name) if $pid && kill 0, $pid;
};

# What a block signs is signed when the block starts. Test::Base would do so when the
# suite starts, and on a slow machine the last blocks would send what has expired.
Test::Base::filters_delay();

add_block_preprocessor(sub {
    my $block = shift;
    $block->run_filters unless $block->is_filtered;
    for my $module (split ' ', $ENV{TEST_NGINX_LOAD_MODULES}) {
        -f $module or Test::More::BAIL_OUT("$module is missing; build it with: make module, or: scripts/install.sh test");
    }
    $end_last_edge->($block->name);
    redis_start();
    # The block before may have failed in the middle.
    redis_thaw();
    redis('FLUSHALL');
    $put_on_sale->($block->sale // '');
    redis(split) for grep {/\S/} split /\n/, $block->redis // '';
    $bans_beforehand = ($block->redis // '') =~ /HSET seckill::\{bans\}/;
    unlink backend_socket(), $ready_socket;
    $uses_default_config = !defined $block->must_die;
    if (!defined $block->http_config) {
        $block->set_value(http_config => http_config());
    } elsif ($block->http_config !~ /ready\.sock/) {
        $uses_default_config = 0;
    }
    if (!defined $block->config) {
        $block->set_value(config => 'location = /unused { return 204; }');
    }
    my $edge = is_lua ? 'lua' : 'module';
    if (defined $block->only && $block->only !~ /^\s*$edge\s*$/) {
        (my $other = $block->only) =~ s/\s+//g;
        $block->set_value(skip_nginx => "1: > 0.0.0: only for the $other edge");
    }
    if (is_lua) {
        $block->set_value(config => in_lua($block->config));
        $block->set_value(http_config => packages_in_lua($root) . $block->http_config)
            unless $block->http_config =~ /lua_package_path/;
    }
    if (!defined $block->request && !defined $block->pipelined_requests
        && !defined $block->raw_request) {
        $block->set_value(request => 'GET /unused');
    }
    if (!defined $block->error_log && !defined $block->allow_errors
        && !defined $block->no_error_log && !defined $block->must_die) {
        # Under valgrind the edge is so slow that its warnings of a slow Redis are
        # right; there the suites check memory.
        my $warnings = defined $valgrind_logs ? '' : "[warn]\n";
        $block->set_value(no_error_log => "$warnings\[error]\n[crit]\n[alert]\n[emerg]");
    }
});

# Sections with the filter `eval` are evaluated inside Test::Base's package, and
# find the words of this module there.
{
    no strict 'refs';
    no warnings 'once';
    for my $word (grep {/^\w/} @EXPORT) {
        *{"Test::Base::Filter::$word"} = \&{$word};
    }
    *Test::Base::Filter::KEYS = \%KEYS;
}

my $judged = 0;
# Under valgrind: no process may have touched memory that is not its own, or lost
# any of its own.
add_cleanup_handler(sub {
    # Called again at the very end; once is enough.
    return if !defined $valgrind_logs || $judged++;
    my @faults;
    for my $log (glob "$valgrind_logs/*.log") {
        open my $in, '<', $log or next;
        my @lines = <$in>;
        push @faults, "$log: $_" for grep {
            /ERROR SUMMARY: [^0]|Invalid |uninitialised|definitely lost in|Process terminating with default action of signal 11/
        } @lines;
    }
    Test::More::is(join('', @faults), '', "$suite: valgrind saw no invalid access and no leak");
});

$SIG{INT} = $SIG{TERM} = sub { exit 130 };
no_shuffle();
no_long_string();
master_on();

1;
