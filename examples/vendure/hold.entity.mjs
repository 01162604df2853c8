// Items of one variant that a round of the sale has taken out of Vendure's stock.

import typeorm from 'typeorm';
import vendure from '@vendure/core';

const { Column, Entity } = typeorm;

export class SeckillHold extends vendure.VendureEntity {}

Entity()(SeckillHold);
Column({ type: 'varchar', unique: true })(SeckillHold.prototype, 'name');
Column({ type: 'varchar' })(SeckillHold.prototype, 'sku');
Column({ type: 'int' })(SeckillHold.prototype, 'amount');
Column({ type: 'boolean', default: false })(SeckillHold.prototype, 'settled');
Column({ type: 'int', default: 0 })(SeckillHold.prototype, 'sold');
Column({ type: 'int', default: 0 })(SeckillHold.prototype, 'returned');
