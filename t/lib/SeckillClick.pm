package SeckillClick;

# Clicks over connections of their own, for suites in which several requests are
# under way at once or the shopper leaves before the response.

use strict;
use warnings;

use Exporter qw(import);
use IO::Select;
use IO::Socket::INET;

use SeckillRedis qw(redis_freeze redis_thaw);
use SeckillSign qw(hidden_path cookie);

our @EXPORT_OK = qw(get post click click_with answer status_of edge_pid reload metric log_has park_clicks);

sub _port {$ENV{TEST_NGINX_SERVER_PORT}}

# The body of a page of the edge.
sub get {
    my ($path) = @_;
    my $edge = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => _port()) or return '';
    print $edge "GET $path HTTP/1.0\r\nHost: shop\r\n\r\n";
    my (undef, $body) = split /\r\n\r\n/, answer($edge), 2;
    return $body // '';
}

# Posts to a path, or to anything else that a request line may hold, with these header
# lines, and returns the open connection.
sub post {
    my ($path, @headers) = @_;
    my $edge = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => _port())
        or die "cannot connect to the edge: $!\n";
    print $edge join "\r\n", "POST $path HTTP/1.1", 'Host: shop', @headers, 'Connection: close', '', '';
    return $edge;
}

# Sends one purchase of product 153 in round 1 and returns the open connection.
sub click {
    my ($buyer, $quantity) = @_;
    my $query = $quantity ? "?quantity=$quantity" : '';
    return post(hidden_path($buyer, '1', '153') . $query, cookie($buyer));
}

# The same with these header lines and no others: also the cookie is among them.
sub click_with {
    my ($buyer, @headers) = @_;
    return post(hidden_path($buyer, '1', '153'), @headers);
}

# The whole response on a connection; empty if none came within $seconds.
sub answer {
    my ($edge, $seconds) = @_;
    my ($text, $ready) = ('', IO::Select->new($edge));
    while ($ready->can_read($seconds // 90)) {
        sysread $edge, my $part, 65536 or last;
        $text .= $part;
    }
    return $text;
}

# The status of one click; 0 if the connection broke without a response.
sub status_of {
    my ($buyer, $quantity) = @_;
    my $edge = eval { click($buyer, $quantity) } or return 0;
    return answer($edge) =~ m{^HTTP/1\.1 (\d+)} ? $1 : 0;
}

# Freezes Redis and has $n clicks of buyers NAME-ATTEMPT-1 to NAME-ATTEMPT-n wait for it:
# returns the attempt's number and their connections, or nothing. A machine that is so slow that Redis counts as
# away before all have come tries again, as another attempt.
sub park_clicks {
    my ($name, $n) = @_;
    my ($attempt, @clicks) = (0);
    SeckillTest::eventually(sub {
        $attempt++;
        redis_freeze();
        @clicks = map { click("$name-$attempt-$_") } 1 .. $n;
        return 1 if SeckillTest::eventually(sub { metric('seckill_parked') == $n }, 1);
        close $_ for @clicks;
        redis_thaw();
        SeckillTest::eventually(sub { metric('seckill_parked') == 0 });
        return 0;
    }) or return;
    return ($attempt, @clicks);
}

# The master process of the edge.
sub edge_pid {
    open my $in, '<', "$ENV{TEST_NGINX_SERVROOT}/logs/nginx.pid" or return;
    return 0 + <$in>;
}

sub reload { kill 'HUP', edge_pid() }

# One number of the edge's metrics; the block has `location = /metrics`.
sub metric {
    my ($name) = @_;
    return get('/metrics') =~ /^\Q$name\E (\d+)$/m ? $1 : undef;
}

# Whether a log of the edge has a line that matches.
sub log_has {
    my ($file, $pattern) = @_;
    open my $in, '<', "$ENV{TEST_NGINX_SERVROOT}/logs/$file" or return;
    return scalar grep {/$pattern/} <$in>;
}

1;
