// Runs only in browsers that know no modules, and so nothing else of the shop's scripts.
document.documentElement.setAttribute('data-spoken', '');
document.addEventListener('DOMContentLoaded', function () {
  var note = document.createElement('p');
  note.className = 'old-browser';
  note.setAttribute('role', 'alert');
  note.appendChild(document.createTextNode('浏览器版本过低，无法抢购，请升级浏览器。 This browser is too old to buy here. Please update it.'));
  document.body.insertBefore(note, document.body.firstChild);
});
