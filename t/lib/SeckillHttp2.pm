package SeckillHttp2;

# One HTTP/2 connection in plain text, for suites in which a client does what browsers
# rarely do: many requests in one packet, streams that are reset, frames in between.
#
#   my $h2 = SeckillHttp2->connect($port);
#   $h2->request(1, POST => $path, cookie => $session);
#   $h2->send;                        # all at once
#   my %of = $h2->responses(1);       # stream => [status, body]

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(time);

use constant { DATA => 0, HEADERS => 1, RST_STREAM => 3, SETTINGS => 4, PING => 6, GOAWAY => 7, WINDOW_UPDATE => 8 };
use constant { END_STREAM => 1, ACK => 1, END_HEADERS => 4 };

# Statuses by their place in HPACK's static table (RFC 7541, appendix A).
my %status = (8 => 200, 9 => 204, 10 => 206, 11 => 304, 12 => 400, 13 => 404, 14 => 500);

sub connect {
    my ($class, $port) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die "cannot connect: $!\n";
    my $self = bless { socket => $socket, out => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", in => '', of => {} }, $class;
    $self->_frame(SETTINGS, 0, 0, '');
    return $self;
}

sub _frame {
    my ($self, $type, $flags, $stream, $payload) = @_;
    $$self{out} .= substr(pack('N', length $payload), 1) . pack('CCN', $type, $flags, $stream) . $payload;
    return;
}

# A header field as a literal that is never indexed nor compressed; both are shorter than
# 16,383 bytes.
sub _field {
    my $length = sub {
        my ($n) = @_;
        return chr $n if $n < 127;
        $n -= 127;
        return chr(127) . ($n < 128 ? chr $n : chr($n % 128 | 128) . chr($n >> 7));
    };
    return chr(0) . join '', map { $length->(length) . $_ } @_;
}

# Queues a request; the headers come in pairs. With a body of `undef` the stream ends with
# the headers.
sub request_with {
    my ($self, $stream, $body, $method, $path, @headers) = @_;
    my @fields = (':method' => $method, ':path' => $path, ':scheme' => 'http', ':authority' => 'shop', @headers);
    my $block = '';
    $block .= _field(splice @fields, 0, 2) while @fields;
    $self->_frame(HEADERS, END_HEADERS | (defined $body ? 0 : END_STREAM), $stream, $block);
    $self->_frame(DATA, END_STREAM, $stream, $body) if defined $body;
    return;
}

sub request {
    my ($self, $stream, @request) = @_;
    return $self->request_with($stream, undef, @request);
}

# Queues the end of a stream that the client no longer wants: CANCEL.
sub reset {
    my ($self, $stream) = @_;
    return $self->_frame(RST_STREAM, 0, $stream, pack 'N', 8);
}

# Sends what is queued, in one packet as far as that goes.
sub send {
    my ($self) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $sent = syswrite $$self{socket}, $$self{out};
    $$self{out} = substr $$self{out}, $sent // 0;
    return;
}

# The status at the beginning of a response's header block.
sub _status {
    my ($block) = @_;
    # nginx may announce the size of its table before.
    $block =~ s/^[\x20-\x3f]//;
    my $first = ord $block;
    return $status{ $first & 127 } // 0 if $first & 128;
    # A literal, named by its place, its three digits as they are.
    return $block =~ /^.\x03(\d{3})/s ? $1 : 0;
}

sub _take_frame {
    my ($self) = @_;
    return 0 if length $$self{in} < 9;
    my ($length, $type, $flags, $stream) = (unpack('N', "\0" . substr $$self{in}, 0, 3), unpack 'x3CCN', $$self{in});
    return 0 if length $$self{in} < 9 + $length;
    my $payload = substr $$self{in}, 9, $length;
    $$self{in} = substr $$self{in}, 9 + $length;
    my $of = $$self{of}{$stream} //= { status => 0, body => '', ended => 0 };
    if ($type == HEADERS) { $$of{status} ||= _status($payload) }
    elsif ($type == DATA) { $$of{body} .= $payload }
    # After a whole response it only says that the rest of the request is not wanted.
    elsif ($type == RST_STREAM) { $$of{status} = 'reset' unless $$of{ended}; $$of{ended} = 1 }
    elsif ($type == GOAWAY) { $$self{gone} = 1 }
    elsif ($type == SETTINGS && !($flags & ACK)) { $self->_frame(SETTINGS, ACK, 0, ''); $self->send }
    elsif ($type == PING && !($flags & ACK)) { $self->_frame(PING, ACK, 0, $payload); $self->send }
    $$of{ended} = 1 if ($type == HEADERS || $type == DATA) && $flags & END_STREAM;
    return 1;
}

# The whole responses of these streams, each as [status, body]; [0, ''] for one that did
# not come within a minute.
sub responses {
    my ($self, @streams) = @_;
    my $deadline = time + 60;
    my $ready = IO::Select->new($$self{socket});
    while (grep { !$$self{of}{$_}{ended} } @streams) {
        next if $self->_take_frame;
        last if time > $deadline || !$ready->can_read($deadline - time);
        sysread $$self{socket}, my $part, 65536 or last;
        $$self{in} .= $part;
    }
    return map { $_ => [@{ $$self{of}{$_} }{qw(status body)}] } @streams;
}

1;
