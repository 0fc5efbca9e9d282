namespace ZeroFlow.Perf.Recording;

/// <summary>What is done with a frame that is complete.</summary>
internal delegate void FrameHandler(ReadOnlySpan<byte> frame);

/// <summary>
/// Cuts a stream that comes in pieces into frames whose lengths become known as it goes: a handler says what is
/// expected behind its own frame. Without a new expectation the rest is not looked at. Single-threaded.
/// </summary>
internal sealed class FrameCollector(int length, FrameHandler handler)
{
    private byte[] _frame = new byte[64];
    private int _held;
    private int _length = length;
    private long _skip;
    private FrameHandler? _handler = handler;

    public void Take(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            if (_skip > 0)
            {
                var skipped = (int)Math.Min(_skip, bytes.Length);
                _skip -= skipped;
                bytes = bytes[skipped..];
                continue;
            }

            if (_handler is null) return;

            var count = Math.Min(_length - _held, bytes.Length);
            bytes[..count].CopyTo(_frame.AsSpan(_held));
            _held += count;
            bytes = bytes[count..];
            while (_held == _length && _skip == 0 && _handler is { } complete)
            {
                _handler = null;
                complete(_frame.AsSpan(0, _length));
            }
        }
    }

    /// <summary>A frame of so many bytes comes next, after what is to be skipped.</summary>
    public void Expect(int length, FrameHandler handler)
    {
        _held = 0;
        Await(length, handler);
    }

    /// <summary>The frame at hand was the begin of a longer one.</summary>
    public void Extend(int length, FrameHandler handler)
    {
        _held = _length;
        Await(length, handler);
    }

    /// <summary>So many bytes are of no interest.</summary>
    public void Skip(long bytes) => _skip += Math.Max(0, bytes);

    private void Await(int length, FrameHandler handler)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length);
        if (_frame.Length < length) Array.Resize(ref _frame, length);
        _length = length;
        _handler = handler;
    }
}
